"""What may stand after `attribute ... by`: methods that explain an output by its inputs, a file each."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.attribution.methods.adjoint_path import ADJOINT_PATH
from isocline_compiler.attribution.methods.expected_gradients import EXPECTED_GRADIENTS
from isocline_compiler.attribution.methods.input_x_gradient import INPUT_X_GRADIENT
from isocline_compiler.attribution.methods.integrated_gradients import INTEGRATED_GRADIENTS
from isocline_compiler.attribution.methods.occlusion import OCCLUSION
from isocline_compiler.attribution.methods.parameter_sensitivity import PARAMETER_SENSITIVITY
from isocline_compiler.attribution.methods.saliency import SALIENCY
from isocline_compiler.attribution.methods.smoothgrad import SMOOTHGRAD
from isocline_compiler.attribution.record import Method
from isocline_compiler.graph.naming import by_name

METHODS: Mapping[str, Method] = by_name(
    SALIENCY,
    INPUT_X_GRADIENT,
    INTEGRATED_GRADIENTS,
    SMOOTHGRAD,
    EXPECTED_GRADIENTS,
    OCCLUSION,
    ADJOINT_PATH,
    PARAMETER_SENSITIVITY,
)
