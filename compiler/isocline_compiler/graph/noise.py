"""What is said of a noise that is an input of the deployed graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Process: TypeAlias = Literal["brownian", "poisson", "stable", "uniform", "bernoulli"]
"""What drives a solve, and what an ensemble keeps besides: uniform numbers, and 1 with some probability, else 0."""

Calculus: TypeAlias = Literal["ito", "stratonovich"]
NoiseKind: TypeAlias = Literal["additive", "scalar", "diagonal", "commutative", "general"]
Ordering: TypeAlias = Literal["independent", "antithetic", "lattice", "antithetic_lattice"]


@dataclass(frozen=True)
class Noise:
    """A random process of independent entries whose increments, in their standard form, are an input of the unrolled
    graph: normals of a Brownian motion, the counts of a Poisson process of rate `parameter`, stable numbers of index
    alpha = `parameter`. Or independent numbers that an ensemble keeps: normal, uniform, or 1 with the probability
    `parameter`. `source` is the name of that input, the noise's own when it is empty. `turned`: its path is walked from
    the end to the start, each increment the negative of what the input holds.
    """

    name: str
    size: int
    process: Process = "brownian"
    calculus: Calculus = "ito"
    parameter: float = 0.0
    source: str = ""
    turned: bool = False

    @property
    def input(self) -> str:
        """The name of the input of the unrolled graph."""
        return self.source or self.name
