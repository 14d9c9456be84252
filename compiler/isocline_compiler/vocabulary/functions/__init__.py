"""Everything that can be called in an expression: one Python function each, its docstring the documentation."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.graph.naming import by_name
from isocline_compiler.vocabulary.functions.activations import ACTIVATIONS
from isocline_compiler.vocabulary.functions.convolution import CONVOLUTION
from isocline_compiler.vocabulary.functions.dense import DENSE
from isocline_compiler.vocabulary.functions.derivatives import DERIVATIVES
from isocline_compiler.vocabulary.functions.elementwise import ELEMENTWISE
from isocline_compiler.vocabulary.functions.losses import LOSSES
from isocline_compiler.vocabulary.functions.matrices import MATRICES
from isocline_compiler.vocabulary.functions.metrics import METRICS
from isocline_compiler.vocabulary.functions.noise import TRAINING_NOISE
from isocline_compiler.vocabulary.functions.normalization import NORMALIZATION
from isocline_compiler.vocabulary.functions.order_statistics import ORDER_STATISTICS
from isocline_compiler.vocabulary.functions.parabolic import PARABOLIC
from isocline_compiler.vocabulary.functions.pooling import POOLING
from isocline_compiler.vocabulary.functions.record import Function
from isocline_compiler.vocabulary.functions.recurrent import RECURRENT
from isocline_compiler.vocabulary.functions.reductions import REDUCTIONS
from isocline_compiler.vocabulary.functions.scaling import SCALING
from isocline_compiler.vocabulary.functions.scores import SCORES
from isocline_compiler.vocabulary.functions.shaping import SHAPING
from isocline_compiler.vocabulary.functions.trigonometry import TRIGONOMETRY
from isocline_compiler.vocabulary.functions.volumes import VOLUMES

FUNCTIONS: Mapping[str, Function] = by_name(
    *ELEMENTWISE,
    *TRIGONOMETRY,
    *ACTIVATIONS,
    *REDUCTIONS,
    *ORDER_STATISTICS,
    *SHAPING,
    *MATRICES,
    *DENSE,
    *CONVOLUTION,
    *PARABOLIC,
    *POOLING,
    *NORMALIZATION,
    *RECURRENT,
    *SCALING,
    *TRAINING_NOISE,
    *DERIVATIVES,
    *VOLUMES,
    *LOSSES,
    *SCORES,
    *METRICS,
)
