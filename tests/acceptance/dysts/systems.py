"""The differential equations of the package `dysts`, each as a problem for scipy and as the text of a model.

Gilpin (2021), Chaos as an interpretable benchmark for forecasting and data-driven modelling, NeurIPS. The package is
Apache-licensed and not among the project's: `pip install dysts` into an environment of its own.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from isocline_dsl.diagnostics import Source
from isocline_dsl.printer import format_text
from tests.acceptance.dysts.traced import traced_field
from tests.acceptance.measured import Problem

OUTPUTS = 20
STATED = 1e-3


@dataclass(frozen=True)
class System:
    """One system with the published parameters, from the published start."""

    made: Any
    lyapunov_times: float = 1.0

    @property
    def name(self) -> str:
        """As the package has it."""
        return str(self.made.name)

    @property
    def start(self) -> list[float]:
        return [float(value) for value in np.ravel(self.made.ic)]

    @property
    def end(self) -> float:
        """After so many Lyapunov times, or one period where no exponent is known."""
        exponent = getattr(self.made, "maximum_lyapunov_estimated", None)
        long = self.lyapunov_times / exponent if exponent else float(self.made.period)
        return float(f"{long:.4g}")

    @property
    def states(self) -> list[str]:
        return [f"x{i}" for i in range(len(self.start))]

    def problem(self) -> Problem:
        """For scipy, from the package's own function; s scales the start."""
        start = np.array(self.start)
        times = np.linspace(0, self.end, OUTPUTS)

        def slopes(t: float, x: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self.made.rhs(x, t)

        return Problem(self.name, slopes, lambda s: s * start, times, 0.99, 1.01)

    def text(self, dtype: str = "float32") -> str:
        """The model. Raises Untranslatable."""
        field = "\n".join(traced_field(self.made.rhs, self.states))
        begin = ", ".join(f"{name} = {_times_s(value)}" for name, value in zip(self.states, self.start, strict=True))
        found = ", ".join(f"path.{name}" for name in self.states)
        precision = "\n  dtype float64" if dtype == "float64" else ""
        text = (
            f'dyn 1\nmodel {self.name} "a system of dysts"\n\n'
            'input s: real in (0.99, 1.01) "scale of the start"\n\n'
            f"field f(t, {', '.join(self.states)}: real) {{\n{field}\n}}\n\n"
            f"path = solve f from {begin} at linspace(0, {self.end!r}, {OUTPUTS})\n"
            f"output y = stack({found}, axis=-1)\n\n"
            f"deploy {{\n  solver auto(error={STATED}){precision}\n}}\n"
        )
        return format_text(Source(text, f"{self.name}.dyn"))


def _times_s(value: float) -> str:
    return f"{value!r}*s" if value else "0"


def systems(lyapunov_times: float = 1.0) -> dict[str, System]:
    """All of the package that are differential equations: no delays, no function that is given piece by piece."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flows, base = importlib.import_module("dysts.flows"), importlib.import_module("dysts.base")
        vars(flows).update(max=np.maximum, min=np.minimum)  # Python's own would ask a traced value which is larger
        found = {}
        for name, kind in vars(flows).items():
            if inspect.isclass(kind) and issubclass(kind, base.DynSys) and kind.__module__ == flows.__name__:
                made = kind() if not issubclass(kind, base.DynSysDelay) else None
                if made is not None and not made.metadata.get("delay"):
                    found[name] = System(made, lyapunov_times)
    return dict(sorted(found.items()))


__all__ = ["STATED", "System", "systems"]
