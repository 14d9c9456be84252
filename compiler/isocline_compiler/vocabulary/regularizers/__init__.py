"""What may stand after `regularize`: terms that keep a model simple, a file each."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.graph.naming import by_name
from isocline_compiler.vocabulary.regularizers.jacobian_norm import JACOBIAN_NORM
from isocline_compiler.vocabulary.regularizers.kinetic_energy import KINETIC_ENERGY
from isocline_compiler.vocabulary.regularizers.path_kl import PATH_KL
from isocline_compiler.vocabulary.regularizers.path_length import PATH_LENGTH
from isocline_compiler.vocabulary.regularizers.record import Regularizer
from isocline_compiler.vocabulary.regularizers.steer import STEER
from isocline_compiler.vocabulary.regularizers.step_error import STEP_ERROR
from isocline_compiler.vocabulary.regularizers.stiffness import STIFFNESS
from isocline_compiler.vocabulary.regularizers.taylor import TAYLOR
from isocline_compiler.vocabulary.regularizers.total_variation import TOTAL_VARIATION
from isocline_compiler.vocabulary.regularizers.weight_decay import WEIGHT_DECAY
from isocline_compiler.vocabulary.regularizers.weight_smoothness import WEIGHT_SMOOTHNESS

REGULARIZERS: Mapping[str, Regularizer] = by_name(
    KINETIC_ENERGY, JACOBIAN_NORM, TAYLOR, PATH_LENGTH,  # integrals along a solution
    TOTAL_VARIATION, STEP_ERROR, STIFFNESS,  # sums over its steps
    PATH_KL, WEIGHT_DECAY, WEIGHT_SMOOTHNESS, STEER,
)  # fmt: skip
