"""Pictures of a run or an artifact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from isocline_compiler.report.ink import Picture

Certificate: TypeAlias = Mapping[str, Any]
METRICS_FILE, CERTIFICATE_FILE = "metrics.csv", "certificate.json"


def plot(path: str | Path, *, out: str | Path | None = None) -> list[Path]:
    """Write the pictures of a run (its curves) or an artifact (work and precision, stability, parameters) as svg files.

    They go into `out`, or into the folder itself, and are the same bytes each time. Returns their paths; what the
    folder has no numbers for is left out. Raises FileNotFoundError when it is neither a run nor an artifact, and
    ValueError when its file does not hold what it should.
    """
    folder = Path(path)
    drawn = dict(_pictures(folder))
    target = folder if out is None else Path(out)
    target.mkdir(parents=True, exist_ok=True)
    return [_write(target / f"{name}.svg", picture) for name, picture in drawn.items()]


def _pictures(folder: Path) -> Iterator[tuple[str, Picture]]:
    metrics, certificate = folder / METRICS_FILE, folder / CERTIFICATE_FILE
    if not metrics.is_file() and not certificate.is_file():
        raise FileNotFoundError(f"{folder} has neither {METRICS_FILE} (a run) nor {CERTIFICATE_FILE} (an artifact)")
    if metrics.is_file():
        yield from _of_run(metrics)
    if certificate.is_file():
        try:
            yield from _of_artifact(json.loads(certificate.read_text(encoding="utf-8")))
        except (KeyError, TypeError) as problem:
            raise ValueError(f"{certificate} is not a certificate of this version: {problem}") from problem


def _of_run(metrics: Path) -> Iterator[tuple[str, Picture]]:
    from isocline_compiler.report.drawings import curves
    from isocline_compiler.report.history import read_history

    history = read_history(metrics)
    if history.get("epoch"):
        yield "curves", curves(history)


def _of_artifact(certificate: Certificate) -> Iterator[tuple[str, Picture]]:
    yield from _work_precision(certificate)
    yield from _stability(certificate)
    yield from _parameters(certificate)


def _work_precision(certificate: Certificate) -> Iterator[tuple[str, Picture]]:
    """One picture a solve whose scheme was chosen; the first has the plain name."""
    from isocline_compiler.certify.certificate import DeployedSolve
    from isocline_compiler.certify.choose import Trial
    from isocline_compiler.report.drawings import work_precision

    trials = [Trial(**item) for item in certificate["work_precision"]]
    solves = [DeployedSolve(**item) for item in certificate["solves"]]
    chosen = [
        solve for solve in solves if solve.declared == "continuous" and any(t.field == solve.field for t in trials)
    ]
    for i, solve in enumerate(chosen):
        tried = [trial for trial in trials if trial.field == solve.field]
        yield _numbered("work_precision", i), work_precision(tried, solve, certificate["stated_error"])


def _stability(certificate: Certificate) -> Iterator[tuple[str, Picture]]:
    """One picture a scheme."""
    from isocline_compiler.certify.stability import Stability
    from isocline_compiler.report.drawings import stability_region
    from isocline_compiler.schemes import SCHEMES
    from isocline_compiler.schemes.tableau import Tableau

    records = [Stability(**{**item, "eigenvalue": tuple(item["eigenvalue"])}) for item in certificate["stability"]]
    for i, name in enumerate(dict.fromkeys(item.scheme for item in records)):
        scheme = SCHEMES.get(name)
        if isinstance(scheme, Tableau):
            found = [item for item in records if item.scheme == name]
            yield _numbered("stability", i), stability_region(scheme, found)


def _parameters(certificate: Certificate) -> Iterator[tuple[str, Picture]]:
    from isocline_compiler.certify.certificate import FittedParameter
    from isocline_compiler.report.drawings import MOST_SCALARS, parameters
    from isocline_compiler.report.scalars import scalars

    fitted = [scalar for item in certificate["parameters"] for scalar in scalars(FittedParameter(**item))]
    if fitted:
        yield "parameters", parameters(fitted[:MOST_SCALARS])


def _numbered(name: str, i: int) -> str:
    return name if i == 0 else f"{name}_{i + 1}"


def _write(path: Path, picture: Picture) -> Path:
    from isocline_compiler.report.ink import to_svg

    path.write_text(to_svg(picture), encoding="utf-8", newline="\n")
    return path
