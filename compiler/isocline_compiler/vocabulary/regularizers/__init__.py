"""What may stand after `regularize`: terms that keep a model simple, a file each."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.graph.naming import by_name
from isocline_compiler.vocabulary.regularizers.kinetic_energy import KINETIC_ENERGY
from isocline_compiler.vocabulary.regularizers.path_kl import PATH_KL
from isocline_compiler.vocabulary.regularizers.record import Regularizer
from isocline_compiler.vocabulary.regularizers.steer import STEER
from isocline_compiler.vocabulary.regularizers.weight_decay import WEIGHT_DECAY

REGULARIZERS: Mapping[str, Regularizer] = by_name(KINETIC_ENERGY, PATH_KL, WEIGHT_DECAY, STEER)

NOT_YET = ("jacobian_norm",)
"""Regularizers of the language that this version does not compile."""
