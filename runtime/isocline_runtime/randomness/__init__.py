"""Random numbers of stochastic models: functions of (seed, stream, row, sample, step, channel), with no state.

`docs/noise.md` specifies them word by word. Names are resolved by their modules:

    from isocline_runtime.randomness import Draws, normals

    normals(Draws(seed=1, stream=0, samples=256, steps=64, channels=5), rows=range(1000))
"""

from isocline_runtime.randomness.counts import poisson
from isocline_runtime.randomness.draws import Draws
from isocline_runtime.randomness.levy import stable
from isocline_runtime.randomness.normal import normal_quantile, normals
from isocline_runtime.randomness.philox import philox4x32
from isocline_runtime.randomness.uniform import bernoulli, uniforms

__all__ = ["Draws", "bernoulli", "normal_quantile", "normals", "philox4x32", "poisson", "stable", "uniforms"]
