"""Philox 4x32-10: four words of 32 bits from a counter of four words and a key of two, without any state.

One round, on a counter (x0, x1, x2, x3) with a key (k0, k1), words modulo 2^32:

    p = 0xD2511F53 x0,   q = 0xCD9E8D57 x2          products of 64 bits, high and low word
    (x0, x1, x2, x3) <- (high(q) ^ x1 ^ k0, low(q), high(p) ^ x3 ^ k1, low(p))

and between rounds k0 += 0x9E3779B9, k1 += 0xBB67AE85. Ten of them pass BigCrush.

Salmon, Moraes, Dror, Shaw (2011), Parallel random numbers: as easy as 1, 2, 3, SC '11, section 3.3. numpy's own
`numpy.random.Philox` is 4x64-10, another generator with other numbers: its words have 64 bits, which neither JavaScript
nor most accelerators multiply.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]
ROUNDS = 10
MULTIPLIERS = np.array(0xD2511F53, np.uint64), np.array(0xCD9E8D57, np.uint64)
WEYL = 0x9E3779B9, 0xBB67AE85
MASK, WORD = np.array(0xFFFFFFFF, np.uint64), np.array(32, np.uint64)


def philox4x32(counter: ArrayLike, key: tuple[int, int]) -> NDArray[np.uint32]:
    """The four words of each counter, (..., 4) to (..., 4), under one key."""
    words = np.asarray(counter, np.uint32).astype(np.uint64)
    even, odd = (words[..., start::2].reshape(-1, 2).T.copy() for start in (0, 1))
    scramble(even, odd, key, np.empty_like(even))
    result = np.stack([even[0], odd[0], even[1], odd[1]], axis=-1)
    return result.reshape(words.shape).astype(np.uint32)


def scramble(even: Words, odd: Words, key: tuple[int, int], product: Words) -> None:
    """Ten rounds in place: `even` holds the words x0 and x2, (2, n), `odd` holds x1 and x3; `product` is scratch.

    Words of 32 bits stand in integers of 64, so that a product is one multiplication. The products are exchanged as
    they are made: what follows is the same for both and is one operation of numpy.
    """
    (x0, x2), (q, p) = even, product
    for k0, k1 in _round_keys(key):
        np.multiply(x0, MULTIPLIERS[0], out=p)
        np.multiply(x2, MULTIPLIERS[1], out=q)
        np.right_shift(product, WORD, out=even)
        np.bitwise_xor(even, odd, out=even)
        np.bitwise_xor(x0, k0, out=x0)
        np.bitwise_xor(x2, k1, out=x2)
        np.bitwise_and(product, MASK, out=odd)


def split(number: int) -> tuple[int, int]:
    """The low and the high word of a number of 64 bits."""
    return number & 0xFFFFFFFF, number >> 32


@lru_cache(maxsize=256)
def derive_key(seed: int, stream: int) -> tuple[int, int]:
    """The key of a stream: the first two words of the counter (stream, 0, 0, 0) under the seed."""
    first, second, *_ = philox4x32([stream, 0, 0, 0], split(seed)).tolist()
    return first, second


@lru_cache(maxsize=256)
def _round_keys(key: tuple[int, int]) -> tuple[tuple[Words, Words], ...]:
    rounds = (tuple((key[i] + number * WEYL[i]) & 0xFFFFFFFF for i in (0, 1)) for number in range(ROUNDS))
    return tuple((np.array(k0, np.uint64), np.array(k1, np.uint64)) for k0, k1 in rounds)
