"""A lattice sequence for the samples: sums over samples converge faster than those of independent ones.

Point n of dimension j is frac(phi(n) z_j + shift_j), where phi is the radical inverse in base 2 and z the generating
vector of Cools, Kuo, Nuyens (2006), Constructing embedded lattice rules for multivariate integration, SIAM J. Sci.
Comput. 28, 2162-2188: any first 2^k points, k = 10 ... 20, are a good lattice, so the number of samples need not be
known.

In words of 32 bits phi(n) is n with its bits reversed, and phi(n) z_j modulo 1 one multiplication: exact. The shift is
random (Cranley, Patterson 1976), the same for all samples of a row, and is the first sample's own number: so every
number is uniform, and a mean over samples has no bias. Samples of a row are not independent of each other; rows are.

A step's channel is a dimension, those of the first step first. What lies beyond the vector's 250 dimensions is drawn
independently.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isocline_runtime.randomness.philox import Words

MOST_POINTS = 2**20
GENERATING_VECTOR = np.array([
    1, 182667, 469891, 498753, 110745, 446247, 250185, 118627, 245333, 283199, 408519, 391023, 246327, 126539, 399185,
    461527, 300343, 69681, 516695, 436179, 106383, 238523, 413283, 70841, 47719, 300129, 113029, 123925, 410745,
    211325, 17489, 511893, 40767, 186077, 519471, 255369, 101819, 243573, 66189, 152143, 503455, 113217, 132603,
    463967, 297717, 157383, 224015, 502917, 36237, 94049, 170665, 79397, 123963, 223451, 323871, 303633, 98567,
    318855, 494245, 477137, 177975, 64483, 26695, 88779, 94497, 239429, 381007, 110205, 339157, 73397, 407559, 181791,
    442675, 301397, 32569, 147737, 189949, 138655, 350241, 63371, 511925, 515861, 434045, 383435, 249187, 492723,
    479195, 84589, 99703, 239831, 269423, 182241, 61063, 130789, 143095, 471209, 139019, 172565, 487045, 304803,
    45669, 380427, 19547, 425593, 337729, 237863, 428453, 291699, 238587, 110653, 196113, 465711, 141583, 224183,
    266671, 169063, 317617, 68143, 291637, 263355, 427191, 200211, 365773, 254701, 368663, 248047, 209221, 279201,
    323179, 80217, 122791, 316633, 118515, 14253, 129509, 410941, 402601, 511437, 10469, 366469, 463959, 442841,
    54641, 44167, 19703, 209585, 69037, 33317, 433373, 55879, 245295, 10905, 468881, 128617, 417919, 45067, 442243,
    359529, 51109, 290275, 168691, 212061, 217775, 405485, 313395, 256763, 152537, 326437, 332981, 406755, 423147,
    412621, 362019, 279679, 169189, 107405, 251851, 5413, 316095, 247945, 422489, 2555, 282267, 121027, 369319,
    204587, 445191, 337315, 322505, 388411, 102961, 506099, 399801, 254381, 452545, 309001, 147013, 507865, 32283,
    320511, 264647, 417965, 227069, 341461, 466581, 386241, 494585, 201479, 151243, 481337, 68195, 75401, 58359,
    448107, 459499, 9873, 365117, 350845, 181873, 7917, 436695, 43899, 348367, 423927, 437399, 385089, 21693, 268793,
    49257, 250211, 125071, 341631, 310163, 94631, 108795, 21175, 142847, 383599, 71105, 65989, 446433, 177457, 107311,
    295679, 442763, 40729, 322721, 420175, 430359, 480757,
], np.uint64)  # fmt: skip
DIMENSIONS = len(GENERATING_VECTOR)


def in_lattice(pairs: Words, channels: Words, size: int) -> NDArray[np.bool_]:
    """Whether both steps of a pair, 2p and 2p + 1, have a dimension of the vector in this channel."""
    return (2 * pairs + 1) * size + channels < DIMENSIONS


def phases(samples: Words, dimensions: NDArray[np.int64]) -> Words:
    """phi(sample) z_dimension in units of 2^-32, modulo 1."""
    found: Words = reverse_bits(samples) * GENERATING_VECTOR[dimensions] & np.uint64(0xFFFFFFFF)
    return found


def reverse_bits(numbers: Words) -> Words:
    """Words of 32 bits with their bits in reversed order."""
    for width, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF), (16, 0x0000FFFF)):
        shift, low = np.uint64(width), np.uint64(mask)
        numbers = (numbers >> shift & low) | (numbers & low) << shift
    return numbers
