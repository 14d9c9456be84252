r"""Standard errors of the declared parameters, from the curvature of the loss (Laplace's approximation).

The posterior is taken to be Gaussian around the optimum: its covariance is the inverse of the Hessian of the
negative log posterior. A loss of negative log densities, the mean over the
E entries of a sample, gives n E L - log p(w). A sum of squares is taken
as Gaussian noise of one unknown variance: with N residuals, p fitted weights and L = w SSE / n (and penalties, which
scale with it),

    sigma^2 = SSE / (N - p),   -log posterior = n L / (2 sigma^2 w) - log p(w),

which for a linear model is the textbook (X^T X)^{-1} sigma^2. Of any other loss the curvature says nothing about the
spread of the data, and no number is given.
Bounds: the error of f(w) is |f'(w)| times that of the free weight w (delta method).
MacKay (1992), Bayesian interpolation; Seber and Wild (2003), Nonlinear regression, 5.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchProgram, evaluate
from isocline_compiler.data import Dataset, Split
from isocline_compiler.graph import Array, Graph
from isocline_compiler.model import Model, Parameter, TrainingPlan
from isocline_compiler.training.batches import Batches
from isocline_compiler.training.curvature import Curvature, jacobian_of
from isocline_compiler.training.least_squares import NotSquares, Squares, sum_of_squares
from isocline_compiler.training.marginal import members_of, objective_of
from isocline_compiler.training.objective import Objective
from isocline_compiler.training.population import curvature_of
from isocline_compiler.training.whole_sample import NoDensity, entries_of, named_sizes, require_no_draws

JOINT_LIMIT = 300
"""Above this many trained weights, the networks' weights are held fixed."""

MOST_NUMBERS = 4000
"""Of declared parameters together, whose covariance is a dense matrix."""

FLATTEST = 1e-12
"""The least ratio of the Hessian's eigenvalues at which its inverse means anything in float64."""


@dataclass(frozen=True)
class Estimate:
    """A declared parameter: its fitted value, and its standard error, NaN where none can be given."""

    parameter: Parameter
    value: Array
    error: Array


@dataclass(frozen=True)
class StandardErrors:
    """Estimates in the order of the file, and in words what the errors assume, or why there are none.

    `covariance` is that of all numbers of all parameters, flattened in the same order. `doubts` are for the screen:
    what is not identifiable, not converged, or without an error.
    """

    estimates: tuple[Estimate, ...]
    assumptions: tuple[str, ...]
    reason: str | None = None
    covariance: Array | None = None
    doubts: tuple[str, ...] = ()

    def by_name(self) -> dict[str, tuple[Array | None, str | None]]:
        """Each declared parameter's error (None where none can be given) with what it assumes, or why there is none."""
        if self.reason is not None:
            return {item.parameter.name: (None, self.reason) for item in self.estimates}
        sentence = "; ".join(self.assumptions)
        return {item.parameter.name: (item.error, sentence) for item in self.estimates}


@dataclass(frozen=True)
class _Scale:
    """-log posterior = factor(p) n L - log p(w) for p fitted weights; the sentence says why.

    `entries` is that factor where the loss is a log density, None where it is made of squares.
    """

    entries: float | None
    squares: float
    residuals: int
    weight: float
    sentence: str

    def factor(self, fitted: int) -> float | None:
        """None when the variance cannot be estimated: as many weights as residuals, or a perfect fit."""
        if self.entries is not None:
            return self.entries
        if self.residuals <= fitted or self.squares <= 0:
            return None
        return (self.residuals - fitted) / (2 * self.squares * self.weight)


def standard_errors(
    model: Model, dataset: Dataset, weights: Mapping[str, Array]
) -> dict[str, tuple[Array | None, str | None]]:
    """Each declared parameter's error (None where none can be given) with what it assumes, or why there is none."""
    return laplace(model, dataset.train, weights).by_name()


def laplace(model: Model, train: Split, weights: Mapping[str, Array]) -> StandardErrors:
    """Errors of every declared parameter at `weights`, from the training samples, in float64.

    All trained weights vary together when there are at most 300 and the curvature allows it, so that a parameter's
    error includes what the networks could take over from it; else the errors are conditional on the networks'
    weights, and the result says so.
    """
    plan = model.training
    if plan is None or not model.parameters:
        return StandardErrors(_without(model.parameters, weights), (), None if plan else "not trained")
    held = _held(model, plan)
    if held is not None:
        return StandardErrors(_without(model.parameters, weights), (), held, doubts=(f"no standard errors: {held}",))
    batches = Batches.of(train, torch.float64, torch.device("cpu"))
    bound = {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}
    objective = objective_of(model, plan, train, second_order=True)
    try:
        sizes = named_sizes((*model.inputs, *model.targets), train)
        scale = _scale(model, plan, objective, bound, batches, sizes)
    except (NotSquares, NoDensity) as error:
        doubts = (f"no standard errors: {error}",)
        return StandardErrors(_without(model.parameters, weights), (), str(error), doubts=doubts)
    return _from_curvature(model, plan, scale, objective, bound, batches)


def _from_curvature(
    model: Model,
    plan: TrainingPlan,
    scale: _Scale,
    objective: Objective,
    bound: dict[str, Tensor],
    batches: Batches,
) -> StandardErrors:
    """Jointly first; then given the weights of the networks."""
    reason, doubts = None, list[str]()
    numbers = sum(bound[item.name].numel() for item in model.parameters)
    if numbers > MOST_NUMBERS:
        reason = f"{numbers} numbers are more than {MOST_NUMBERS}, whose covariance is worth computing"
        values = {name: tensor.numpy() for name, tensor in bound.items()}
        doubt = f"no standard errors: {reason}"
        return StandardErrors(_without(model.parameters, values), (scale.sentence,), reason, doubts=(doubt,))
    for names, sentence in _choices(model, plan):
        fitted = sum(bound[name].numel() for name in names)
        factor = scale.factor(fitted)
        if factor is None:
            reason = f"{scale.residuals} residuals are too few to estimate their variance beside {fitted} weights"
            continue
        curvature = curvature_of(objective, bound, names, batches, factor * batches.count)
        if not curvature.positive(FLATTEST):
            reason = f"the loss is not curved upwards in every direction of the {fitted} weights: {curvature.text}"
            doubts.append(curvature.doubt(FLATTEST))
            continue
        estimates = tuple(_estimate(item, bound, curvature) for item in model.parameters)
        assumptions = (scale.sentence, sentence, *([reason] if reason else []), *curvature.distance())
        conditional = [f"the standard errors are {sentence}"] if doubts else []
        doubts += [*conditional, *curvature.distance()]
        covariance = _covariance(model.parameters, bound, curvature)
        return StandardErrors(estimates, assumptions, covariance=covariance, doubts=tuple(doubts))
    values = {name: tensor.numpy() for name, tensor in bound.items()}
    doubts = doubts or [f"no standard errors: {reason}"]
    return StandardErrors(_without(model.parameters, values), (scale.sentence,), reason, doubts=tuple(doubts))


def _held(model: Model, plan: TrainingPlan) -> str | None:
    """Why the loss of the last block says nothing of how far the parameters may be off, if so."""
    if plan.turns:
        return f"`train {plan.name}` takes turns with another block, whose loss is not its own"
    others = [weight.name for weight in model.weights if not plan.trains(weight)]
    fixed = [f"`{item.name}`" for item in model.parameters if item.name in others]
    return f"the last block, `train {plan.name}`, does not train {', '.join(fixed)}" if fixed else None


def _choices(model: Model, plan: TrainingPlan) -> list[tuple[list[str], str]]:
    """The sets of weights that may vary, the larger first, with what that means."""
    own = [item.name for item in model.parameters]
    moved = [weight for weight in model.weights if plan.trains(weight)]
    members = {item.name for item in members_of(model, plan)}
    every = [weight.name for weight in moved]
    size = sum(math.prod(weight.shape) for weight in moved if weight.name not in members)
    conditional = (own, "conditional on the weights of the networks, which are held fixed: the true errors are larger")
    if set(own) == set(every):
        return [(own, "all parameters together")]
    joint = (every, f"all {'trained weights' if plan.only is None else 'weights of the last block'} together")
    return [joint, conditional] if size <= JOINT_LIMIT else [conditional]


def _scale(
    model: Model,
    plan: TrainingPlan,
    objective: Objective,
    bound: Mapping[str, Tensor],
    batches: Batches,
    sizes: Mapping[str, int],
) -> _Scale:
    require_no_draws(plan)
    if plan.likelihood is not None:
        return _Scale(entries_of(plan.likelihood, sizes), 0.0, 0, 1.0, "the loss is a negative log density")
    terms = sum_of_squares(plan.losses, frozenset(port.name for port in model.targets), sizes)
    squares = _total(terms, objective, bound, batches)
    residuals = batches.count * sum(term.count for term in terms)
    sentence = "the residuals are independent and Gaussian, of one variance that is estimated from them"
    return _Scale(None, squares, residuals, terms[0].weight, sentence)


@torch.no_grad()
def _total(terms: Sequence[Squares], objective: Objective, bound: Mapping[str, Tensor], batches: Batches) -> float:
    """The sum of the squares of all residuals."""
    graph = Graph((), {str(i): term.node for i, term in enumerate(terms)})
    stepped, noise = objective.solver.unrolled(graph)
    program = TorchProgram(stepped)
    total = 0.0
    for batch, _ in batches.chunks(objective.chunk):
        given = noise.filled({**bound, **batch}, training=False)
        values = program(given, integrator=objective.solver.integrator)
        total += sum(float(value.sum()) for value in values.values())
    return total


def _estimate(parameter: Parameter, bound: Mapping[str, Tensor], curvature: Curvature) -> Estimate:
    """f(w) and sqrt(diag(J C J^T)), J = df/dw."""
    jacobian = _jacobian(parameter, bound)
    covariance = curvature.covariance_of(parameter.name)
    variance = torch.einsum("ij,jk,ik->i", jacobian, covariance, jacobian)
    found = evaluate((parameter.value,), bound)[0].detach()
    return Estimate(parameter, found.numpy(), variance.sqrt().reshape(found.shape).numpy())


def _jacobian(parameter: Parameter, bound: Mapping[str, Tensor]) -> Tensor:
    """df/dw of one parameter: (its numbers, its numbers)."""

    def value(raw: Tensor) -> Tensor:
        return evaluate((parameter.value,), {**bound, parameter.name: raw})[0]

    return jacobian_of(value, bound[parameter.name])


def _covariance(parameters: Sequence[Parameter], bound: Mapping[str, Tensor], curvature: Curvature) -> Array:
    """J C J^T over all declared parameters together; J has a block for each."""
    blocks = [_jacobian(item, bound) for item in parameters]
    jacobian = torch.zeros((sum(map(len, blocks)),) * 2, dtype=torch.float64)
    start = 0
    for block in blocks:
        stop = start + len(block)
        jacobian[start:stop, start:stop] = block
        start = stop
    covariance: Array = (jacobian @ curvature.joint_of([item.name for item in parameters]) @ jacobian.T).numpy()
    return covariance


def _without(parameters: Sequence[Parameter], weights: Mapping[str, Array]) -> tuple[Estimate, ...]:
    """Values alone."""
    bound = {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}
    values = [evaluate((item.value,), bound)[0].numpy() for item in parameters]
    return tuple(
        Estimate(item, value, np.full(value.shape, np.nan)) for item, value in zip(parameters, values, strict=True)
    )
