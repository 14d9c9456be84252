"""Pictures of a run or an artifact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isocline_compiler.certify.certificate import DeployedSolve, FittedParameter
    from isocline_compiler.certify.choose import Trial
    from isocline_compiler.certify.stability import Stability
    from isocline_compiler.report.ink import Picture

METRICS_FILE, CERTIFICATE_FILE = "metrics.csv", "certificate.json"


@dataclass(frozen=True)
class _Numbers:
    """What of a certificate is drawn."""

    stated_error: float
    solves: list[DeployedSolve]
    trials: list[Trial]
    stability: list[Stability]
    parameters: list[FittedParameter]


def plot(path: str | Path, *, out: str | Path | None = None) -> list[Path]:
    """Write the pictures of a run (its curves) or an artifact (work and precision, stability, parameters) as svg files.

    They go into `out`; without it into a run's own folder, or beside an artifact into NAME-pictures, since an artifact
    is sealed. The same folder gives the same bytes. Returns the paths; what there are no numbers for is left out. Raises
    ArtifactError when it is neither a run nor an artifact, or its certificate does not hold what it should.
    """
    folder = Path(path)
    drawn = dict(_pictures(folder))
    target = _place(folder) if out is None else Path(out)
    target.mkdir(parents=True, exist_ok=True)
    return [_write(target / f"{name}.svg", picture) for name, picture in drawn.items()]


def _place(folder: Path) -> Path:
    if (folder / METRICS_FILE).is_file():
        return folder
    here = folder.resolve()
    return here.with_name(f"{here.name}-pictures")


def _pictures(folder: Path) -> Iterator[tuple[str, Picture]]:
    metrics, certificate = folder / METRICS_FILE, folder / CERTIFICATE_FILE
    if not metrics.is_file() and not certificate.is_file():
        from isocline_runtime.messages_artifact import nothing_there

        raise nothing_there(folder, f"`plot` takes a run (it holds {METRICS_FILE}) or an artifact ({CERTIFICATE_FILE})")
    if metrics.is_file():
        yield from _of_run(metrics)
    if certificate.is_file():
        yield from _of_artifact(_read(certificate))


def _read(file: Path) -> _Numbers:
    """The part of a certificate that is drawn, typed. Raises ArtifactError when it cannot be."""
    from isocline_compiler.certify.certificate import DeployedSolve, FittedParameter
    from isocline_compiler.certify.choose import Trial
    from isocline_compiler.certify.stability import Stability
    from isocline_runtime.messages_artifact import not_json

    try:
        text = json.loads(file.read_text(encoding="utf-8"))
        return _Numbers(
            float(text["stated_error"]),
            [DeployedSolve(**item) for item in text["solves"]],
            [Trial(**item) for item in text["work_precision"]],
            [Stability(**{**item, "eigenvalue": tuple(item["eigenvalue"])}) for item in text["stability"]],
            [FittedParameter(**item) for item in text["parameters"]],
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise not_json(file, f"not a certificate of this version ({problem})") from problem


def _of_run(metrics: Path) -> Iterator[tuple[str, Picture]]:
    from isocline_compiler.report.drawings import curves
    from isocline_compiler.report.history import read_history

    history = read_history(metrics)
    if history.get("epoch"):
        yield "curves", curves(history)


def _of_artifact(numbers: _Numbers) -> Iterator[tuple[str, Picture]]:
    yield from _work_precision(numbers)
    yield from _stability(numbers)
    yield from _parameters(numbers)


def _work_precision(numbers: _Numbers) -> Iterator[tuple[str, Picture]]:
    """One picture a solve whose scheme was chosen; the first has the plain name."""
    from isocline_compiler.report.drawings import work_precision

    tried = {
        solve: [trial for trial in numbers.trials if trial.field == solve.field]
        for solve in numbers.solves
        if solve.declared == "continuous"
    }
    chosen = [(solve, trials) for solve, trials in tried.items() if trials]
    for i, (solve, trials) in enumerate(chosen):
        yield _numbered("work_precision", i), work_precision(trials, solve, numbers.stated_error)


def _stability(numbers: _Numbers) -> Iterator[tuple[str, Picture]]:
    """One picture a scheme."""
    from isocline_compiler.report.drawings import stability_region
    from isocline_compiler.schemes import SCHEMES
    from isocline_compiler.schemes.tableau import Tableau

    for i, name in enumerate(dict.fromkeys(item.scheme for item in numbers.stability)):
        scheme = SCHEMES.get(name)
        if isinstance(scheme, Tableau):
            found = [item for item in numbers.stability if item.scheme == name]
            yield _numbered("stability", i), stability_region(scheme, found)


def _parameters(numbers: _Numbers) -> Iterator[tuple[str, Picture]]:
    from isocline_compiler.report.drawings import MOST_SCALARS, parameters
    from isocline_compiler.report.scalars import scalars

    fitted = [scalar for item in numbers.parameters for scalar in scalars(item)]
    if fitted:
        yield "parameters", parameters(fitted[:MOST_SCALARS])


def _numbered(name: str, i: int) -> str:
    return name if i == 0 else f"{name}_{i + 1}"


def _write(path: Path, picture: Picture) -> Path:
    from isocline_compiler.report.ink import PAPER, to_svg

    path.write_text(to_svg(picture, PAPER), encoding="utf-8", newline="\n")
    return path
