"""Write latent_ode.npz: Beijing's hourly fine dust, 48 hours of it with gaps and the 24 after them.

Source, windows and years are those of examples/latent_sde. Of the past of each window 0, 30, 50 or 70 of 100 hours are
dropped, each by itself, at random: nothing of such an hour is known, neither the dust nor the weather. What is missing
is 0, and `heard` and `known` are 0 there; in the gaps that the source has, the weather is known and the dust is not.
A window in which nothing is left of the dust is left out.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from examples.fetching import member_of_wheel, write_whole
from examples.latent_sde.fetch import MEMBER, SHA256, WHEEL, hourly, windows

RATES = (0, 30, 50, 70)
INPUTS = ("past", "known", "heard", "weather", "wind", "clock")

Array = np.ndarray


def with_gaps(whole: dict[str, Array], rates: Array, seed: int) -> dict[str, Array]:
    """The windows with so many of a hundred hours dropped of each, `rates` (n,)."""
    hours = whole["past"].shape[1]
    heard = np.random.default_rng(seed).uniform(size=(len(rates), hours)) >= rates[:, None] / 100
    known = heard * whole["known"]
    some = known.any(axis=1)
    made = {
        **whole,
        "past": whole["past"] * known,
        "known": known,
        "heard": heard.astype(float),
        "weather": whole["weather"] * heard[:, :, None],
        "wind": whole["wind"] * heard[:, :, None],
        "dropped": rates,
    }
    return {name: value[some] for name, value in made.items()}


def source() -> dict[str, Array]:
    """The windows as they are published."""
    return windows(hourly(member_of_wheel(WHEEL, SHA256, MEMBER)))


def main() -> None:
    whole = source()
    rates = np.random.default_rng(0).choice(RATES, len(whole["past"]))
    found = with_gaps(whole, rates, seed=1)
    sink = io.BytesIO()
    arrays: dict[str, Any] = dict(found)
    np.savez_compressed(sink, **arrays)
    path = Path(__file__).parent / "latent_ode.npz"
    write_whole(path, sink.getvalue())
    print(f"{path}: {(found['part'] == 'train').sum()} windows to train on, {(found['part'] == 'test').sum()} to test")


if __name__ == "__main__":
    main()
