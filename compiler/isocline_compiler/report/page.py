"""The page: what is known of a model, arranged for the template."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from isocline_compiler.certify.certificate import Certificate
from isocline_compiler.model import Model, TrainingPlan, default_text
from isocline_compiler.report import drawings, formulas, typeset
from isocline_compiler.report.explanations import panels
from isocline_compiler.report.highlight import highlight
from isocline_compiler.report.history import read_history
from isocline_compiler.report.ink import DARK, LIGHT, Picture, to_inline
from isocline_compiler.report.material import ReportMaterial
from isocline_compiler.report.paths import convergences, distributions
from isocline_compiler.report.samples import Shown, shown
from isocline_compiler.report.scalars import Scalar, member_tables, scalars
from isocline_compiler.report.verdict import headline, proofs
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.tableau import Tableau


@dataclass(frozen=True)
class Drawn:
    """A picture as markup, with a heading and a sentence, either of which may be empty."""

    title: str
    caption: str
    markup: Markup


def write_report(material: ReportMaterial) -> str:
    """One HTML page that needs nothing else: no network, no other file. The same material gives the same bytes.

    Raises OSError when the history cannot be read.
    """
    model, certificate = material.model, material.certificate
    shared = [parameter for parameter in certificate.parameters if parameter.group is None]
    fitted = [item for parameter in shared for item in scalars(parameter)]
    return _template().render(
        model=model,
        certificate=certificate,
        light=LIGHT,
        dark=DARK,
        headline=headline(certificate),
        proofs=proofs(certificate, model.deployment.of),
        fields=formulas.fields(model.program, model.source),
        source=highlight(model.source.text),
        ports=[(kind, ports) for kind, ports in _ports(model) if ports],
        fitted=fitted[: drawings.MOST_SCALARS],
        unlisted=max(len(fitted) - drawings.MOST_SCALARS, 0),
        members=member_tables(certificate.parameters),
        descriptions={parameter.name: parameter.description for parameter in model.parameters},
        weights=sum(math.prod(weight.shape) for weight in model.weights if weight.role == "trained"),
        training=_training_facts(model.training),
        pictures={
            "fitted": list(_fitted(fitted[: drawings.MOST_SCALARS])),
            "curves": list(_curves(material.history)),
            "samples": list(_samples(material)),
            "explanations": list(_explanations(material)),
            "precision": list(_precision(certificate)),
            "stability": list(_stability(certificate)),
            "paths": [_drawn(f"paths{i}", *_of(item)) for i, item in enumerate(distributions(material))],
            "convergence": [_drawn(f"strong{i}", *_of(item)) for i, item in enumerate(convergences(material))],
        },
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("isocline_compiler.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": typeset.number,
        "quantity": typeset.quantity,
        "facts": typeset.facts,
        "type_text": typeset.type_text,
        "default_text": default_text,
    }
    environment.globals["interval"] = typeset.interval
    return environment.get_template("report.html.jinja")


def _ports(model: Model) -> Iterator[tuple[str, tuple[Any, ...]]]:
    yield "input", model.inputs
    yield "output", model.outputs
    yield "target", model.targets


def _training_facts(plan: TrainingPlan | None) -> list[tuple[str, str]]:
    """The settings of training that a reader would ask for; those that do not apply are left out."""
    if plan is None:
        return []
    rows = [
        ("trains", ", ".join(plan.only) if plan.only else ""),
        ("optimizer", str(plan.optimizer)),
        ("schedule", str(plan.schedule)),
        ("solver", str(plan.solver)),
        ("gradient", plan.gradient),
        ("epochs", str(plan.epochs)),
        ("batch", str(plan.batch) if plan.batch else "all samples"),
        ("clip", f"{plan.clip:g}" if plan.clip else ""),
        ("alternate", ", ".join(f"{turn.plan.name}(updates={turn.updates})" for turn in plan.turns)),
        ("precision", plan.precision),
        ("seed", str(plan.seed)),
    ]
    return [(name, value) for name, value in rows if value]


def _drawn(name: str, picture: Picture, title: str, caption: str = "", label: str = "") -> Drawn:
    return Drawn(title, caption, Markup(to_inline(picture, name, label or title)))


def _fitted(numbers: Sequence[Scalar]) -> Iterator[Drawn]:
    if numbers:
        yield _drawn("parameters", drawings.parameters(numbers), "", label="Fitted parameters with their errors")


def _curves(history: Path | None) -> Iterator[Drawn]:
    columns = read_history(history) if history is not None else {}
    if columns.get("epoch"):
        yield _drawn("curves", drawings.curves(columns), "", label="Loss and learning rate over epochs")


def _of(item: Shown) -> tuple[Picture, str, str]:
    return item.picture, item.title, item.caption


def _samples(material: ReportMaterial) -> Iterator[Drawn]:
    for i, item in enumerate(shown(material)):
        yield _drawn(f"sample{i}", item.picture, item.title, item.caption)


def _explanations(material: ReportMaterial) -> Iterator[Drawn]:
    if material.explanations is not None:
        for i, panel in enumerate(panels(material.explanations)):
            yield _drawn(f"why{i}", panel.picture, panel.title, panel.caption)


def _precision(certificate: Certificate) -> Iterator[Drawn]:
    for i, solve in enumerate(certificate.solves):
        trials = [trial for trial in certificate.work_precision if trial.solve == solve.name]
        if trials and solve.declared == "continuous":
            picture = drawings.work_precision(trials, solve, certificate.stated_error)
            yield _drawn(f"precision{i}", picture, solve.name, label=f"Error against evaluations of {solve.name}")


def _stability(certificate: Certificate) -> Iterator[Drawn]:
    """One picture a scheme, with every solve that uses it."""
    for name in dict.fromkeys(item.scheme for item in certificate.stability):
        scheme = SCHEMES.get(name)
        if isinstance(scheme, Tableau):
            found = [item for item in certificate.stability if item.scheme == name]
            picture = drawings.stability_region(scheme, found)
            yield _drawn(f"stability-{name}", picture, "", label=f"Stability region of {name}")
