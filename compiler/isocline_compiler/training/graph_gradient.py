"""The loss and its gradient as one graph under onnxruntime, with torch's optimizer around it.

The graph of the loss is ours, and so is its reverse: steps of a fixed scheme, their sum over a batch and the derivative
by every weight are ordinary operations. Eager torch spends most of a small step on calling them; onnxruntime runs them
all in one call. The gradient is compared with torch's at the first update and at every thousandth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_onnx import Precision, to_onnx
from isocline_compiler.derivatives.reverse_forward import vjp
from isocline_compiler.graph import INPUT, WEIGHT, Array, Fault, Graph, Node, constant, everything, leaf, substitute
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import SOLVE, spec_of
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.model import LOG_PRIOR, TrainingPlan
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.passes import optimise
from isocline_compiler.training.batches import Batch
from isocline_compiler.training.objective import Loss, Objective
from isocline_compiler.training.priors import PriorWeight
from isocline_dsl.diagnostics import IsoclineError

SHARE = "share of a sample"
"""The input that is one over the samples of a batch."""
LARGEST = 20_000
"""Operations of a gradient: a larger one takes longer to make ready than it saves."""
AGAIN = 1000
"""Updates between two comparisons with torch."""
APART = {torch.float32: 1e-3, torch.float64: 1e-8}
"""How far loss and gradient may be from torch's, relative to the size of each."""


class NotAGraph(Exception):
    """Why a loss has no gradient as one graph."""


@dataclass
class GraphGradient:
    """L(w) and dL/dw of an objective, by onnxruntime; `word` says so once it differed from torch and was given up."""

    objective: Objective
    trained: Sequence[str]
    session: Any
    places: Mapping[str, str]
    given: Sequence[str]
    outputs: Sequence[str]
    updates: int = 0
    word: str | None = None

    @classmethod
    def of(cls, objective: Objective, plan: TrainingPlan, trained: Sequence[str]) -> GraphGradient:
        """Raises NotAGraph with the reason why torch has to train this."""
        import onnxruntime

        _require_plain(objective, plan)
        graph, places = _with_gradient(objective.graph, trained, objective.prior)
        precision: Precision = "float64" if plan.precision == "float64" else "float32"
        try:
            content = to_onnx(graph, {}, opset=18, dtype=precision).SerializeToString()
        except IsoclineError as error:
            raise NotAGraph(error.diagnostics[0].message) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no base of their own
            raise NotAGraph(f"onnxruntime refuses it: {_said(error)}") from None
        given, outputs = ([item.name for item in items] for items in (session.get_inputs(), session.get_outputs()))
        return cls(objective, [name for name in trained if name in places], session, places, given, outputs)

    def __call__(self, weights: Mapping[str, Tensor], batch: Batch) -> Loss:
        """The loss of a batch, and its gradient in the weights' `grad`."""
        try:
            loss = self._evaluated(weights, batch)
        except Exception as error:  # onnxruntime's exceptions have no base of their own
            self.word = f"onnxruntime stopped in update {self.updates + 1} ({_said(error)}): torch trains on"
            loss = self.objective(weights, batch, training=True)
            torch.autograd.backward(loss.total)
            return loss
        if self.updates % AGAIN == 0:
            self._compare(weights, batch, loss)
        self.updates += 1
        return loss

    def _evaluated(self, weights: Mapping[str, Tensor], batch: Batch) -> Loss:
        bound = self.objective.filled({**weights, **batch}, True)
        arrays = {self.places.get(name, name): value for name, value in bound.items()}
        feeds = {name: arrays[name].detach().numpy() for name in self.given if name != SHARE}
        working = next(iter(weights.values())).numpy(force=True).dtype
        count = next((len(batch[name]) for name in self.given if name in batch), 1)
        if SHARE in self.given:
            feeds[SHARE] = np.asarray(1 / count, working)
        found = dict(zip(self.outputs, self.session.run(self.outputs, feeds), strict=True))
        for name in self.trained:
            weights[name].grad = torch.from_numpy(np.asarray(found[f"gradient {name}"]))
        return self._loss(found)

    def _loss(self, found: Mapping[str, Array]) -> Loss:
        """As the objective adds it up."""
        outputs = {name: torch.from_numpy(np.asarray(found[name])) for name in self.objective.graph.outputs}
        return self.objective.added(outputs, {}, training=True)

    def _compare(self, weights: Mapping[str, Tensor], batch: Batch, loss: Loss) -> None:
        """Torch's loss and gradient beside these; where they differ they take their place, and torch trains on."""
        found = {name: weights[name].grad for name in self.trained}
        for name in self.trained:
            weights[name].grad = None
        right = self.objective(weights, batch, training=True)
        torch.autograd.backward(right.total)
        bound = APART[right.total.dtype]
        worst = max([_apart(loss.total, right.total), *(_apart(found[n], weights[n].grad) for n in self.trained)])
        if worst <= bound:
            for name, gradient in found.items():
                weights[name].grad = gradient
            return
        self.word = (
            f"the gradient by onnxruntime was {worst:.1e} from torch's in update {self.updates + 1} "
            f"(at most {bound:.0e}): torch trains from there on"
        )


def _said(error: Exception) -> str:
    """The first line of what a foreign exception says."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _apart(found: Tensor | None, right: Tensor | None) -> float:
    """The norm of a difference, relative to that of what is right."""
    if found is None or right is None:
        return 0.0 if right is None and (found is None or not found.any()) else float("inf")
    size = float(right.detach().norm())
    difference = float((found.detach() - right.detach()).norm())
    return difference / size if size > 0 else difference if np.isfinite(difference) else float("inf")


def _require_plain(objective: Objective, plan: TrainingPlan) -> None:
    """Raises NotAGraph."""
    if type(objective) is not Objective:
        raise NotAGraph("the members of a population are found by Newton's method")
    if plan.precision not in ("float32", "float64"):
        raise NotAGraph(f"{plan.precision} is mixed by torch")
    if plan.gradient != "backprop":
        raise NotAGraph(f"`gradient {plan.gradient}` belongs to the solvers of torch")
    for node in everything(objective.graph.outputs.values()):
        if node.op is SOLVE:
            raise NotAGraph(f"an adaptive solver steps `{spec_of(node).field}`")
        if node.op is SCAN:
            raise NotAGraph("there is a loop in the loss")
        if node.op.training is not None:
            raise NotAGraph(f"`{node.op.name}` does something else while training")


def _with_gradient(graph: Graph, trained: Sequence[str], prior: PriorWeight | None) -> tuple[Graph, dict[str, str]]:
    """The loss, its terms and its gradient, of weights that are inputs; the inputs that the weights became.

    dL/dw = sum_b 1/B dl_b/dw - f d log p/dw, with f, the weight of the prior, held.
    """
    weights = {str(x.attrs["name"]): x for x in everything(graph.outputs.values()) if x.op is WEIGHT}
    places = {name: f"weight {number}" for number, name in enumerate(weights)}
    inputs = {name: leaf(INPUT, places[name], node.type) for name, node in weights.items()}
    found = substitute(list(graph.outputs.values()), {node: inputs[name] for name, node in weights.items()})
    outputs = dict(zip(graph.outputs, found, strict=True))
    share = leaf(INPUT, SHARE, TensorType("real", ()))
    seeded = [(outputs["loss"], _seed(outputs["loss"], share))]
    if prior is not None:
        seeded.append((outputs[LOG_PRIOR], -prior.node(outputs, share)))
    wanted = [inputs[name] for name in trained if name in inputs]
    try:
        gradients = vjp([y for y, _ in seeded], [seed for _, seed in seeded], wanted)
    except Fault as fault:
        raise NotAGraph(fault.make(None).message) from None
    reached = (name for name in trained if name in inputs)
    named = {f"gradient {name}": node for name, node in zip(reached, gradients, strict=True)}
    whole = optimise(Graph((*graph.inputs, *inputs.values(), share), {**outputs, **named}, "gradient"))
    if len(whole.nodes()) > LARGEST:
        raise NotAGraph(f"its gradient has {len(whole.nodes())} operations, more than {LARGEST}")
    return whole, places


def _seed(loss: Node, share: Node) -> Node:
    """What each number of the loss counts in its mean."""
    return broadcast_like(share, loss) if loss.type.batched else constant(1.0)


__all__ = ["GraphGradient", "NotAGraph"]
