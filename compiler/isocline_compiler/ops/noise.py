"""Noise that regularizes training: random while training, one number when deployed.

A noise is a value beside what it disturbs, not part of the operation that disturbs: a derivative that is taken in the
graph so meets the same draw as the value does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from isocline_compiler.graph import Example, Node, Op
from isocline_compiler.graph.c_form import NoC
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.shapes import real, require

Parameters: TypeAlias = "tuple[float, ...]"


def _normal(empty: Any, std: float) -> Any:
    return empty.normal_(0.0, std)


def _uniform(empty: Any, low: float, high: float) -> Any:
    return empty.uniform_(low, high)


def _bernoulli(empty: Any, probability: float) -> Any:
    return empty.bernoulli_(probability)


def _kept(empty: Any, probability: float) -> Any:
    return empty.bernoulli_(probability).div_(probability)


LAWS: Mapping[str, Callable[..., Any]] = {
    "normal": _normal,  # (std): mean 0
    "uniform": _uniform,  # (low, high)
    "bernoulli": _bernoulli,  # (p): 1 with probability p, else 0
    "kept": _kept,  # (p): 1/p with probability p, else 0; mean 1
}
"""Each fills a tensor with independent numbers of torch's generator, which every step of training seeds."""


def _noise_type(x: TensorType, *, law: str, parameters: Parameters, deployed: float, layer: str = "") -> TensorType:
    require("noise_like", ("real",), x)
    return x


def _torch_noise(torch: Any, x: Any, law: str, parameters: Parameters, deployed: float, layer: str = "") -> Any:
    return torch.full_like(x, deployed)


def _train_noise(
    torch: Any, record: Callable[[int, Any], None], x: Any, law: str, parameters: Parameters, deployed: float,
    layer: str = "",
) -> Any:  # fmt: skip
    return LAWS[law](torch.empty_like(x), *parameters)


def _emit_noise(emitter: Emitter, node: Node, x: str) -> str:
    return emitter.node("Expand", emitter.real(node.attrs["deployed"]), emitter.once("Shape", x))


def _enclose_noise(
    precision: Precision, x: Interval, law: str, parameters: Parameters, deployed: float, layer: str = ""
) -> Interval:
    return precision.literal(np.full(x.low.shape, deployed))


NOISE_LIKE = Op(
    "noise_like", _noise_type, _torch_noise, _emit_noise,
    lambda g, y, x, law, parameters, deployed, layer="": (None,),
    "While training independent numbers of a `law` in the shape of x, new at each evaluation; else `deployed`. `layer` "
    "names what may be kept in an ensemble, and is empty where derivatives alone meet the noise.",
    _train_noise,
    (
        Example((real("batch", 3),), {"law": "normal", "parameters": (0.5,), "deployed": 0.0}),
        Example((real("batch", 1, 2),), {"law": "uniform", "parameters": (-1.0, 1.0), "deployed": 0.0}),
        Example((real(3),), {"law": "kept", "parameters": (0.75,), "deployed": 1.0}),
        Example((real(),), {"law": "bernoulli", "parameters": (0.5,), "deployed": 0.5}),
    ),
    enclose=_enclose_noise, c=NoC("it is noise of training"),
)  # fmt: skip

NOISE = (NOISE_LIKE,)
