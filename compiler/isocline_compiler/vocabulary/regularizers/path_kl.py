r"""The divergence of a stochastic equation from its prior, along its own solutions: the regularizer of a latent SDE."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_compiler.graph import Node, Nodes, constant
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.field import Field
from isocline_compiler.vocabulary.functions.kinds import FieldName
from isocline_compiler.vocabulary.regularizers.path_integral import Integrand, augment, total
from isocline_compiler.vocabulary.regularizers.record import Context, LossTerm, Regularizer
from isocline_compiler.vocabulary.spread_of_noise import spread_of


def path_kl(posterior: FieldName, prior: FieldName) -> LossTerm:
    r"""The Kullback-Leibler divergence of the paths of one field from those of another with the same noise.

    1/2 int |g^{-1} (f - h)|^2 dt in expectation (Girsanov), f and h the drifts of posterior and prior and g the
    diffusion of both, along every solution of the posterior; the mean over its samples. The prior has the same states
    and the same noise, or no noise written. The law of the start is not part of it.

    Example: path_kl(posterior, prior)

    Li, Wong, Chen, Duvenaud (2020), AISTATS, PMLR 108, 3870-3882.
    """

    def term(context: Context) -> Node:
        found = constant(0.0)
        for place in range(len(context.solves(posterior))):
            # asked again each time: a solve that starts where another ends is a new node when that one is replaced
            node = context.solves(posterior)[place]
            solve, slopes = context.beside(node, prior)
            augmented, index = augment(solve.node(), _rate(solve, slopes))
            context.replace(node, augmented)
            found = found + total(augmented, index)
        return found

    return term


def _rate(solve: Solve, prior: Nodes) -> Integrand:
    return lambda t, states, own: divergence(solve, prior, own)


def divergence(solve: Solve, prior: Nodes, own: Sequence[Node]) -> Node:
    """|g^{-1} (f - h)|^2 / 2 at the states of a solve, f being `own` and h `prior`."""
    field = Field(solve, solve.row_arguments)
    spread = spread_of("path_kl", field, solve.time, solve.state_arguments)
    places = {place: i for i, place in enumerate(solve.spec.own)}
    apart = [own[places[place]] - prior[places[place]] for place in spread.places]
    return 0.5 * spread.square(apart)


PATH_KL = Regularizer(path_kl)
