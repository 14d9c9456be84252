"""Distributions: priors of parameters, `param k: positive ~ lognormal(0, 1)`."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.graph.naming import by_name
from isocline_compiler.vocabulary.distributions.half_line import HALF_LINE
from isocline_compiler.vocabulary.distributions.real_line import REAL_LINE
from isocline_compiler.vocabulary.distributions.record import Distribution

DISTRIBUTIONS: Mapping[str, Distribution] = by_name(*REAL_LINE, *HALF_LINE)
