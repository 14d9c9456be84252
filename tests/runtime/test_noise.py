"""The random numbers: what `docs/noise.md` specifies, their laws, no dependence on batches, three implementations."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats

from isocline_compiler.backends import noise as in_torch
from isocline_runtime.randomness import (
    Draws,
    bernoulli,
    normal_quantile,
    normals,
    philox4x32,
    poisson,
    stable,
    uniform,
    uniforms,
)
from isocline_runtime.randomness.bridge import bridge, cuts
from isocline_runtime.randomness.counts import cumulative
from isocline_runtime.randomness.lattice import DIMENSIONS, GENERATING_VECTOR

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "noise.md").read_text("utf-8")
SCRIPT = ROOT / "runtime" / "isocline_runtime" / "noise.js"
SIGMAS = 4.5
"""Of a bound on what is estimated: one in 150 000 fails by chance, and the seeds are fixed."""

# Random123 1.14, tests/kat_vectors, philox4x32 10: counter, key, result
KNOWN = (
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
)
ANSWERS = [tuple([int(word, 16) for word in words.split()] for words in case) for case in KNOWN]
FAR = Draws(2**64 - 1, 2**32 - 1, samples=3, steps=4, channels=3, first_sample=2**24 - 3, first_step=2**20 - 4)


def block_of_the_page(title: str) -> dict[str, Any]:
    """What a block of Python in the page defines; its assertions hold."""
    (code,) = re.findall(rf'^```python title="{title}"\n(.*?)^```', PAGE, re.S | re.M)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


REFERENCE = block_of_the_page("reference")


def small(seed: int = 1, **others: Any) -> Draws:
    return Draws(seed, **{"stream": 2, "samples": 5, "steps": 7, "channels": 3, **others})


# ------------------------------------------------------------------------------- the specification


@pytest.mark.parametrize(("counter", "key", "expected"), ANSWERS)
def test_known_answers(counter: list[int], key: list[int], expected: list[int]) -> None:
    assert philox4x32(counter, (key[0], key[1])).tolist() == expected
    assert list(REFERENCE["philox"](counter, key)) == expected
    words = tuple(torch.tensor(word) for word in counter)
    assert [int(word) for word in in_torch.philox(words, tuple(key))] == expected


def test_many_counters_at_once_are_scrambled_as_in_whole_numbers() -> None:
    counters = np.random.default_rng(0).integers(0, 2**32, (5, 40, 4), np.uint32)
    found = philox4x32(counters, (7, 2**32 - 1))
    for index in np.ndindex(5, 40):
        assert tuple(found[index].tolist()) == REFERENCE["philox"](counters[index].tolist(), (7, 2**32 - 1))


@pytest.mark.parametrize("draws", [small(), small(2**63 + 5, first_sample=9, first_step=3), FAR])
def test_numbers_are_those_of_the_page(draws: Draws) -> None:
    rows = [0, 3, 2**32, 2**64 - 1]
    u, z = uniforms(draws, rows), normals(draws, rows)
    for r, s, t, c in np.ndindex(u.shape):
        place = draws.seed, draws.stream, rows[r], draws.first_sample + s, draws.first_step + t, c
        assert u[r, s, t, c] == REFERENCE["uniform"](*place)
        assert z[r, s, t, c] == pytest.approx(REFERENCE["normal"](*place), rel=1e-14, abs=1e-15)


def test_the_table_of_the_page() -> None:
    lines = re.findall(r"^\| \d[\d^ -]* \|.*", PAGE.partition("# Normals")[0], re.M)
    assert len(lines) == 10
    for line in lines:
        *place, u, z = (item.strip() for item in line.strip("|").split("|"))
        seed, stream, row, sample, step, channel = (int(eval(item.replace("^", "**"))) for item in place)
        draws = Draws(seed, stream, first_sample=sample, first_step=step, samples=1, channels=channel + 1)
        assert uniforms(draws, [row])[0, 0, 0, -1] == float(u)
        assert normals(draws, [row])[0, 0, 0, -1] == pytest.approx(float(z), abs=2e-15)


def test_the_example_of_the_page() -> None:
    assert block_of_the_page("in numpy")["noise"].shape == (10, 256, 64, 5)


# ------------------------------------------------------------------------------- a function of its place


@pytest.mark.parametrize("draw", [uniforms, normals, lambda *a: stable(*a, 1.5), lambda *a: poisson(*a, 3.0)])
def test_a_row_of_a_batch_is_replayed_alone(draw: Any) -> None:
    whole = draw(small(), range(1000))
    for row in (0, 1, 517, 999):
        assert (draw(small(), [row])[0] == whole[row]).all()
    part = replace(small(), first_sample=2, samples=2, first_step=3, steps=3, channels=2)
    assert (draw(part, [999, 4])[:, :, :, :] == whole[[999, 4], 2:4, 3:6, :2]).all()


@pytest.mark.parametrize("blocks", [1, 5, 64, 10**6])
def test_the_size_of_pieces_does_not_matter(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    draws = small(lattice=True)
    expected = normals(draws, range(9)), stable(small(), range(9), 1.2)
    monkeypatch.setattr(uniform, "BLOCKS", blocks)
    assert (normals(draws, range(9)) == expected[0]).all()
    assert (stable(small(), range(9), 1.2) == expected[1]).all()


def test_float32_is_rounded_once() -> None:
    assert (normals(small(), range(50), np.float32) == normals(small(), range(50)).astype(np.float32)).all()
    lattice = small(lattice=True)
    single = normals(lattice, range(50), np.float32)
    np.testing.assert_array_equal(single, normals(lattice, range(50)).astype(np.float32), strict=True)
    assert np.isfinite(stable(small(), range(2000), 0.1, np.float32)).all()


@pytest.mark.parametrize("sizes", [{"samples": 0}, {"steps": 0}, {"channels": 0}, {}])
@pytest.mark.parametrize("design", [{}, {"antithetic": True}, {"lattice": True}])
def test_nothing_may_be_asked_for(sizes: dict[str, int], design: dict[str, bool]) -> None:
    draws = small(**sizes, **design)
    rows = [1] if sizes else []
    assert normals(draws, rows).shape == (len(rows), *draws.shape)


@pytest.mark.parametrize("rows", [[-1], [2**64], [0.5], [[1]], ["1"]])
def test_rows_that_are_none(rows: Any) -> None:
    with pytest.raises(ValueError, match="rows are a list of integers"):
        normals(small(), rows)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"samples": 2**24 + 1}, "samples"),
        ({"samples": 2**20 + 1, "lattice": True}, "samples"),
        ({"steps": 2**20 + 1}, "steps"),
        ({"channels": -1}, "channels"),
    ],
)
def test_sizes_that_have_no_counter(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"{message} is"):
        small(**wrong)


def test_what_a_law_does_not_have() -> None:
    with pytest.raises(ValueError, match="alpha is 3"):
        stable(small(), [0], 3)
    with pytest.raises(ValueError, match=r"probability is 1\.5"):
        bernoulli(small(), [0], 1.5)
    with pytest.raises(ValueError, match="a rate lies"):
        poisson(small(), [0], -1)
    with pytest.raises(ValueError, match="two uniform numbers"):
        stable(small(lattice=True), [0], 1)
    with pytest.raises(ValueError, match="begins at step 0"):
        normals(small(lattice=True, first_step=2), [0])


# ------------------------------------------------------------------------------- laws


MANY = normals(Draws(11, 0, samples=20, steps=40, channels=5), range(100))


def test_moments_of_normals() -> None:
    z, n = MANY.ravel(), MANY.size
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert np.mean(z**power) == pytest.approx(expected, abs=SIGMAS * math.sqrt(variance / n))


@pytest.mark.parametrize("lag", [1, 2, 3])
@pytest.mark.parametrize("axis", [0, 1, 2, 3], ids=["rows", "samples", "steps", "channels"])
def test_neighbours_are_not_correlated(axis: int, lag: int) -> None:
    size = MANY.shape[axis]
    first, second = MANY.take(range(size - lag), axis), MANY.take(range(lag, size), axis)
    for power in (1, 2):
        found = np.corrcoef(first.ravel() ** power, second.ravel() ** power)[0, 1]
        assert abs(found) < SIGMAS / math.sqrt(first.size)


@pytest.mark.parametrize("other", [{"seed": 12}, {"stream": 1}, {"seed": 11 + 2**32}, {"seed": 11 + 2**63}])
def test_other_seeds_and_streams_are_not_correlated(other: dict[str, int]) -> None:
    found = normals(Draws(**{"seed": 11, "samples": 20, "steps": 40, "channels": 5, **other}), range(100))
    assert abs(np.corrcoef(found.ravel(), MANY.ravel())[0, 1]) < SIGMAS / math.sqrt(MANY.size)


def test_normals_are_normal() -> None:
    assert stats.kstest(MANY.ravel(), stats.norm.cdf).pvalue > 1e-3
    squares = (MANY**2).sum(axis=(1, 2)).ravel()  # of 800 normals each
    assert stats.kstest(squares, stats.chi2(800).cdf).pvalue > 1e-3


def test_uniform_numbers_are_uniform_in_two_dimensions() -> None:
    u = uniforms(Draws(3, samples=100, steps=64), range(20)).reshape(-1, 2)
    counts, *_ = np.histogram2d(u[:, 0], u[:, 1], bins=16, range=[(0, 1), (0, 1)])
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_every_bit_is_even() -> None:
    u = uniforms(Draws(4, samples=100, steps=100), range(10)).ravel()
    numerators = (u * 2.0**53).astype(np.int64)
    assert (numerators % 2 == 1).all()
    for bit in range(1, 53):
        share = np.mean(numerators >> bit & 1)
        assert share == pytest.approx(0.5, abs=SIGMAS * 0.5 / math.sqrt(u.size))


def test_the_quantile_is_exact_in_the_tails() -> None:
    u = (2 * np.unique(np.logspace(0, 52 * math.log10(2), 4000).astype(np.int64) // 2) + 1) * 2.0**-53
    u = u[u < 1]
    expected = special.ndtri(u)
    np.testing.assert_allclose(normal_quantile(u), expected, rtol=2e-15, atol=1e-15)
    assert (normal_quantile(1 - u) == -normal_quantile(u)).all()
    assert (np.diff(normal_quantile(u)) > 0).all()
    assert normal_quantile(2.0**-53) == pytest.approx(-8.2095361516, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.3, 1.8, 2.0])
def test_stable_numbers_are_stable(alpha: float) -> None:
    x = stable(Draws(5, samples=40, steps=10), range(3), alpha).ravel()
    law = {1.0: stats.cauchy.cdf, 2.0: stats.norm(scale=math.sqrt(2)).cdf}.get(alpha, stats.levy_stable(alpha, 0).cdf)
    assert stats.kstest(x, law).pvalue > 1e-3
    many = stable(Draws(6, samples=100, steps=100), range(10), alpha)
    for t in (0.3, 1.0, 2.0):  # the characteristic function, which is bounded: its mean has a known error
        assert np.mean(np.cos(t * many)) == pytest.approx(
            math.exp(-(t**alpha)), abs=SIGMAS * math.sqrt(0.5 / many.size)
        )


@pytest.mark.parametrize("p", [0.0, 0.02, 0.5, 0.8, 1.0])
def test_trials_succeed_with_their_probability(p: float) -> None:
    """By the binomial distribution; the same uniform number succeeds in all trials of a larger probability."""
    draws = Draws(7, samples=100, steps=51, channels=2)
    found = bernoulli(draws, range(4), p)
    assert set(np.unique(found)) <= {0.0, 1.0}
    assert stats.binomtest(int(found.sum()), found.size, p).pvalue > 1e-3
    assert (bernoulli(draws, range(4), min(1.0, p + 0.1)) >= found).all()


@pytest.mark.parametrize("rate", [0.1, 1.0, 4.7, 30.0, 1234.5])
def test_counts_are_those_of_poisson(rate: float) -> None:
    n = poisson(Draws(7, samples=100, steps=50), range(4), rate).ravel()
    edges = np.unique(stats.poisson.ppf(np.linspace(0, 1, 25)[1:-1], rate))
    expected = np.diff(stats.poisson.cdf(edges, rate), prepend=0, append=1)
    observed = np.bincount(np.searchsorted(edges, n), minlength=len(expected))
    kept = expected * n.size > 5
    expected, observed = (np.append(item[kept], item[~kept].sum()) for item in (expected * n.size, observed))
    used = expected > 0
    assert stats.chisquare(observed[used], expected[used], sum_check=False).pvalue > 1e-3
    assert n.mean() == pytest.approx(rate, abs=SIGMAS * math.sqrt(rate / n.size))


@pytest.mark.parametrize("rate", [0.0, 1e-9, 0.3, 1.0, 7.5, 50.0, 1000.0])
def test_the_table_of_counts(rate: float) -> None:
    lowest, table = cumulative(rate)
    np.testing.assert_allclose(table, stats.poisson.cdf(lowest + np.arange(len(table)), rate), atol=1e-14)
    assert table[-1] == 1
    assert (np.diff(table) >= 0).all()
    if lowest:
        assert stats.poisson.cdf(lowest - 1, rate) < 2.0**-53


def test_rates_of_every_step() -> None:
    rates = np.linspace(0, 5, 7)
    counts = poisson(small(), range(3), rates[:, None])
    for step, rate in enumerate(rates):
        assert (counts[:, :, step] == poisson(small(), range(3), rate)[:, :, step]).all()


# ------------------------------------------------------------------------------- mirror images and lattices


@pytest.mark.parametrize("lattice", [False, True])
def test_pairs_of_samples_are_mirror_images(lattice: bool) -> None:
    half, paired = small(samples=4, lattice=lattice), small(samples=8, lattice=lattice, antithetic=True)
    z, u = normals(paired, range(6)), uniforms(paired, range(6))
    assert (z[:, 0::2] == normals(half, range(6))).all()
    assert (z[:, 1::2] == -z[:, 0::2]).all()
    assert (u[:, 1::2] == 1 - u[:, 0::2]).all()
    later = replace(paired, first_sample=3, samples=4)
    assert (normals(later, range(6)) == z[:, 3:7]).all()


def test_stable_numbers_and_counts_are_mirrored() -> None:
    x, n = stable(small(samples=4, antithetic=True), [1], 1.4), poisson(small(samples=4, antithetic=True), [1], 9.0)
    assert (x[:, 1::2] == -x[:, 0::2]).all()
    assert np.corrcoef(n[:, 0::2].ravel(), n[:, 1::2].ravel())[0, 1] < -0.8


def test_a_lattice_is_the_formula() -> None:
    draws = Draws(9, 4, samples=20, steps=7, channels=40, lattice=True)
    u, plain = uniforms(draws, [17])[0], uniforms(replace(draws, lattice=False), [17])[0]
    for n, t, c in np.ndindex(u.shape):
        dimension = t * 40 + c
        if (t // 2 * 2 + 1) * 40 + c >= DIMENSIONS:
            assert u[n, t, c] == plain[n, t, c]
        else:
            inverse = Fraction(int(f"{n:032b}"[::-1], 2), 2**32)
            expected = (inverse * int(GENERATING_VECTOR[dimension]) + Fraction(plain[0, t, c])) % 1
            assert Fraction(u[n, t, c]) == expected


def test_each_dimension_of_a_lattice_has_a_point_in_each_cell() -> None:
    u = uniforms(Draws(9, samples=256, steps=10, channels=2, lattice=True), [3, 4])
    cells = np.sort(np.floor(u * 256), axis=1)
    assert (cells == np.arange(256)[:, None, None]).all()


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 13])
def test_a_bridge_is_orthogonal(steps: int) -> None:
    matrix = bridge(np.eye(steps)[None, :, :, None])[0, :, :, 0]
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(steps), atol=1e-14)
    np.testing.assert_allclose(matrix.sum(axis=1), [math.sqrt(steps), *[0] * (steps - 1)], atol=1e-14)
    assert len(list(cuts(steps))) == steps - 1


def error_of(steps: int, channels: int = 1, rows: int = 200, **design: bool) -> tuple[float, float]:
    """Of the mean of exp(W(1)/2) over 512 paths: bias in its standard errors over the rows, root mean square."""
    z = normals(Draws(8, samples=512, steps=steps, channels=channels, **design), range(rows))
    means = np.exp(0.5 * z.sum(axis=(2, 3)) / math.sqrt(steps * channels)).mean(axis=1)
    errors = means - math.exp(1 / 8)
    return float(errors.mean() / (errors.std() / math.sqrt(rows))), float(np.sqrt(np.mean(errors**2)))


def test_mirror_images_and_lattices_reduce_the_variance() -> None:
    designs = ({}, {"antithetic": True}, {"lattice": True}, {"antithetic": True, "lattice": True})
    found = [error_of(16, **design) for design in designs]
    assert all(abs(bias) < SIGMAS for bias, _ in found)
    plain, paired, lattice, both = (error for _, error in found)
    exact = math.sqrt((math.exp(1 / 2) - math.exp(1 / 4)) / 512)  # the standard deviation of exp(W/2), over 512 paths
    assert plain == pytest.approx(exact, rel=SIGMAS * math.sqrt(1 / 400))
    paired_exact = math.sqrt((math.exp(1 / 2) - 2 * math.exp(1 / 4) + 1) / 512)
    assert paired == pytest.approx(paired_exact, rel=SIGMAS * math.sqrt(1 / 400))
    assert lattice < plain / 5
    assert both < lattice / 1.5


def test_beyond_its_dimensions_a_lattice_still_has_no_bias() -> None:
    bias, error = error_of(60, channels=5, rows=30, lattice=True)
    assert abs(bias) < SIGMAS
    assert error < 0.026
