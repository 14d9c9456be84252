"""The page: whole, self-contained, true to the certificate, and silent about what is not there."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from isocline_compiler.certify.certificate import Certificate, CheckResult, DeployedSolve
from isocline_compiler.certify.measures import Spread
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stability import Stability
from isocline_compiler.certify.work_precision import Trial
from isocline_compiler.lower import lower
from isocline_compiler.model import FittedParameter, Model
from isocline_compiler.report import ReportMaterial, write_report
from isocline_compiler.report.formulas import fields
from isocline_compiler.report.highlight import highlight
from isocline_compiler.report.history import read_history
from isocline_compiler.report.material import material_of, times_of
from isocline_compiler.report.samples import component_labels, shown
from isocline_compiler.report.typeset import facts, interval, number
from isocline_compiler.report.verdict import proofs
from isocline_dsl.diagnostics import Source
from isocline_dsl.parse import parse

PREY = """dyn 1
model prey "hares and lynx"
input first: real[2] in (0, 200) unit "thousands" "in the first year"
target seen: real[21, 2] unit "thousands"
param birth: positive = 0.5 ~ lognormal(-0.7, 0.5) unit "1/year" "growth of the hares"
param eaten: real[2] = [0.02, 0.03]
field populations(year, hare, lynx: real) {
  met = hare*lynx
  hare' = birth*hare - eaten[0]*met
  lynx' = -lynx/(1 + abs(lynx)) + eaten[1]*met^2
}
path = solve populations from hare = first[0], lynx = first[1] at 0..20 step 1
output forecast = stack(path.hare, path.lynx, axis=-1) # 100% < all
train { loss mean((forecast - seen)^2) }
"""
DIGITS = """dyn 1
model digits
input image: real[1, 4, 4]
target label: class[3]
field f(t, h: real[3]) { h' = tanh(h) }
z = image |> flatten |> dense(3)
logits = solve f from h = z over 0..1
output logits
output probability = softmax(logits)
train { loss cross_entropy(logits, label) }
"""
SWING = """dyn 1
model swing
field oscillator(t, q: real, v: real) { q' = v; v' = -q }
path = solve oscillator from q = 1, v = 0 at 0..2 step 0.1
output angle = path.q
output speed = path.v
deploy { solver rk4(steps=40) }
"""
CERTIFICATE = Certificate(
    model="prey",
    samples="37 held-out samples",
    parity={"forecast": Spread(3.1415e-7, 2.7182e-7, 1.4142e-7, 11)},
    parity_bound=1.1e-5,
    discretisation={"forecast": Spread(6.0221e-4, 5.5551e-4, 1.6161e-4, 29)},
    deployed={"forecast": Spread(6.0221e-4, 5.5551e-4, 1.6161e-4, 29)},
    stated_error=1.3e-3,
    reference="dopri8, rtol = atol = 1e-06",
    solves=(DeployedSolve("populations", "populations", "continuous", "rk4", 4, 63, 252),),
    work_precision=(
        Trial("populations", "euler", 1, 40, 40, 400, 0.31),
        Trial("populations", "euler", 1, 80, 80, 800, 0.16),
        Trial("populations", "rk4", 4, 42, 168, 900, 4.1e-3),
        Trial("populations", "rk4", 4, 63, 252, 1400, 6.0221e-4),
        Trial("populations", "rk4", 4, 21, 84, 500, float("inf")),
    ),
    step_halving={"forecast": 5.7721e-4},
    stability=(Stability("populations", "rk4", 1.2345, 0.8765, (0.4321, -1.9876), 0.3172, 11.51, 3, True),),
    checks=(CheckResult("relative_rmse(forecast, seen) < 0.4", 0.28712, "<", 0.4, True),),
    parameters=(
        FittedParameter("birth", 0.54719, 0.031316, 0.0, None, "1/year", "lognormal(-0.7, 0.5)"),
        FittedParameter("eaten", [0.02817, 0.02661], None, None, None, None, None, "the curvature is singular"),
    ),
    data_notes=("2 rows of 23 were dropped",),
    graph={"nodes": 1264, "opset": 18, "bytes": 88123},
    latency={"batch": 1, "p50_us": 412.37, "samples_per_second": 2425.41},
    versions={"isocline": "0.1.0", "torch": "2.13.0"},
)
BARE = Certificate("prey", "37 held-out samples", {}, 1e-5, {}, 1e-3, "dopri8", ())


def model_of(text: str) -> Model:
    source = Source(text, "model.dyn")
    return lower(parse(source), source)


@pytest.fixture(scope="module")
def prey() -> Model:
    return model_of(PREY)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    rows = [f"{epoch},{epoch},{1 / epoch},{2 / epoch},0.01,1,{epoch}" for epoch in range(1, 30)]
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,loss,validation_loss,lr,grad_norm,seconds\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def material(prey: Model, history: Path) -> ReportMaterial:
    t = np.arange(21.0)
    answer = np.stack([30 + 10 * np.sin(t), 20 + 9 * np.cos(t)], axis=-1)[None].repeat(3, axis=0)
    targets = {"seen": answer + 1.0}
    return ReportMaterial(prey, CERTIFICATE, history, {"forecast": answer}, targets, {}, times_of(prey))


class Page(HTMLParser):
    """Elements of a page; fails on one that is closed and not open, or left open."""

    VOID = frozenset({"meta", "img", "br", "link", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def values(page: str) -> list[float]:
    """The exact numbers of a page: those in `<data value=...>`."""
    return [float(found) for found in re.findall(r'<data value="([^"]*)"', page)]


def sections(page: str) -> set[str]:
    return set(re.findall(r'<section id="([^"]*)"', page))


def numbers_of(item: object) -> list[float]:
    """Every number in a nest of dataclasses, mappings and lists."""
    match item:
        case bool() | str() | None:
            return []
        case int() | float():
            return [float(item)]
        case dict():
            return [number for value in item.values() for number in numbers_of(value)]
        case list() | tuple():
            return [number for value in item for number in numbers_of(value)]
    return numbers_of(vars(item))


def test_a_page_is_well_formed_and_stands_alone(material: ReportMaterial) -> None:
    text = write_report(material)
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert len(text.encode()) < 3_000_000
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert value.startswith(("#", "data:image/png;base64,")), (name, value[:80])
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "http" not in text


def test_the_formulas_and_pictures_are_well_formed_xml(material: ReportMaterial) -> None:
    text = write_report(material)
    for tag in ("math", "svg"):
        pieces = re.findall(rf"<{tag}\b.*?</{tag}>", text, flags=re.DOTALL)
        assert len(pieces) >= 5
        for piece in pieces:
            ElementTree.fromstring(re.sub(r"&(nbsp|thinsp);", " ", piece))


def test_ids_are_unique_and_all_references_lead_somewhere(material: ReportMaterial) -> None:
    text = write_report(material)
    ids = [value for name, value in Page(text).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^)"]*)', text)) <= set(ids)


def test_every_number_of_the_certificate_is_shown_and_no_other(material: ReportMaterial) -> None:
    shown_numbers = values(write_report(material))
    listed = replace(CERTIFICATE, work_precision=())
    known = numbers_of(listed)
    indices = {float(CERTIFICATE.stability[0].sample)}  # the sample of a spectrum is in the file only
    assert set(known) - set(shown_numbers) <= indices
    declared = {200.0, 1.0, float(1 + 2)}  # a bound of the input, the bound of |R|, how many numbers were trained
    assert set(shown_numbers) - set(known) <= declared


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.28712, "0.287"),
        (1e-3, "10<sup>−3</sup>"),
        (6.0221e-4, "6.02&thinsp;×&thinsp;10<sup>−4</sup>"),
        (-2.5e-9, "−2.5&thinsp;×&thinsp;10<sup>−9</sup>"),
        (88123, "88,123"),
        (2425.41, "2,425"),
        (0.0, "0"),
        (float("inf"), "∞"),
        (float("nan"), "not finite"),
    ],
)
def test_a_number_is_rounded_for_the_eye_and_exact_for_machines(value: float, text: str) -> None:
    assert number(value) == f'<data value="{value!r}">{text}</data>'


def test_units_follow_from_names() -> None:
    rows = dict(facts({"p50_us": 412.0, "load": {"slow_ms": 3.5}, "bytes": 12}))
    assert list(rows) == ["p50", "load · slow", "bytes"]
    assert [text.rpartition(";")[2] for text in rows.values()] == ["µs", "ms", "bytes"]
    assert "∞" in interval(0.0, float("inf"))


def test_the_same_material_gives_the_same_bytes(material: ReportMaterial) -> None:
    assert write_report(material) == write_report(material)


def test_hostile_names_stay_text(prey: Model) -> None:
    evil = "</code><script>alert('$x^{1}$')</script>&amp;"
    ports = tuple(replace(port, description=evil, unit=evil) for port in prey.outputs)
    model = replace(prey, name=evil, description=evil, outputs=ports, source=replace(prey.source, text="#" + evil))
    certificate = replace(
        CERTIFICATE,
        samples=evil,
        data_notes=(evil,),
        versions={evil: evil},
        graph={evil: evil},
        checks=(CheckResult(evil, 1.0, "<", 2.0, True),),
        parameters=(replace(CERTIFICATE.parameters[0], name=evil, unit=evil, prior=evil, reason=evil),),
        solves=(replace(CERTIFICATE.solves[0], name=evil, field=evil),),
        work_precision=tuple(replace(trial, solve=evil, scheme=evil) for trial in CERTIFICATE.work_precision),
        stability=(replace(CERTIFICATE.stability[0], solve=evil),),
    )
    answer = np.ones((1, 21, 2)) * np.arange(21)[None, :, None]
    text = write_report(ReportMaterial(model, certificate, None, {"forecast": answer}))
    page = Page(text)
    assert "script" not in page.tags
    assert page.text.count(evil) >= 8


def test_what_is_absent_is_left_out(prey: Model, material: ReportMaterial) -> None:
    whole = sections(write_report(material))
    assert whole == {
        *("proved", "equations", "source", "ports", "parameters", "training", "samples", "precision", "stability"),
        *("errors", "graph", "data"),
    }
    bare = write_report(ReportMaterial(prey, BARE))
    assert sections(bare) == {"equations", "source", "ports"}
    assert "<figure" not in bare
    assert "<footer" not in bare
    no_history = write_report(replace(material, history=None))
    assert whole - sections(no_history) == {"training"}


def test_proofs_say_when_a_bound_is_missed() -> None:
    assert [proof.holds for proof in proofs(CERTIFICATE)] == [True, True, True, True]
    unstable = (replace(CERTIFICATE.stability[0], decaying=1.5),)
    missed = replace(CERTIFICATE, stated_error=1e-6, parity_bound=1e-9, stability=unstable)
    assert [proof.holds for proof in proofs(missed)] == [False, False, False, True]


def test_the_error_of_a_grid_that_the_author_chose_is_no_promise() -> None:
    stated = replace(CERTIFICATE, work_precision=(), stated_error=1e-6)
    proof = next(proof for proof in proofs(stated) if proof.name == "True to the equation")
    assert proof.holds
    assert "stated" not in proof.sentence
    discrete = replace(CERTIFICATE, solves=(replace(CERTIFICATE.solves[0], declared="discrete"),))
    assert "True to the equation" not in {proof.name for proof in proofs(discrete)}


def test_only_the_outputs_that_are_bounded_count() -> None:
    errors = {"loose": Spread(0.5, 0.5, 0.5, 0), "tight": Spread(1e-4, 1e-4, 1e-4, 0)}
    certificate = replace(CERTIFICATE, discretisation=errors, deployed=errors)
    assert [proof.holds for proof in proofs(certificate)][1] is False
    assert [proof.holds for proof in proofs(certificate, ("tight",))][1] is True


def test_the_source_is_shown_letter_by_letter(prey: Model) -> None:
    page = Page(f"<pre>{highlight(prey.source.text)}</pre>")
    assert page.text == prey.source.text
    assert '<span class="keyword">solve</span>' in highlight("solve")
    assert highlight("0..20") == '<span class="number">0</span>..<span class="number">20</span>'
    assert "keyword" not in highlight("split fraction(train=0.8)")
    assert highlight('\x00é<"') == '\x00é<span class="mark">&lt;</span><span class="string">&#34;</span>'


def test_equations_are_typeset(prey: Model) -> None:
    (page,) = fields(prey.program, prey.source)
    assert (page.name, page.arguments) == ("populations", "year, hare, lynx")
    assert [(state.name, state.starts) for state in page.states] == [("hare", ("first[0]",)), ("lynx", ("first[1]",))]
    local, hare, lynx = page.rows
    assert "<mfrac>" not in local.left
    assert len(hare.right) == 2  # two terms, between which a line may break
    assert "<mi>year</mi>" in hare.left
    assert "<msub><mi>eaten</mi><mn>0</mn></msub>" in hare.right[1]
    assert "<mfrac>" in lynx.right[0]
    assert "<msup><mi>met</mi><mn>2</mn></msup>" in lynx.right[1]


@pytest.mark.parametrize(
    ("text", "shown_text"),
    [
        ("a*(b + c)", "a⋅(b+c)"),
        ("(a*b)*c", "a⋅b⋅c"),
        ("a*(b*c)", "a⋅(b⋅c)"),
        ("tanh(a - (b - c))", "tanh(a−(b−c))"),
        ("a - (b - c)", "a−(b−c)"),
        ("(a + b)^2", "(a+b)2"),
        ("-a^2", "−a2"),
        ("sin(a/(b + c))", "sin(a/(b+c))"),
        ("alpha_1*1e-3", "α1⋅10−3"),
        ("a |> tanh |> dense(4, init=zeros)", "a▹tanh▹dense(4,init=zeros)"),
    ],
)
def test_parentheses_stand_where_the_meaning_needs_them(text: str, shown_text: str) -> None:
    source = Source(f"dyn 1\nmodel m\nfield f(t, a: real) {{ a' = {text} }}\n", "m.dyn")
    (page,) = fields(parse(source), source)
    assert Page("".join(page.rows[0].right)).text == shown_text


def test_components_are_named_as_they_are_stacked(prey: Model) -> None:
    assert list(component_labels(prey, "forecast", 2, None)) == ["hare", "lynx"]
    assert list(component_labels(prey, "forecast", 3, None)) == ["forecast[0]", "forecast[1]", "forecast[2]"]


def test_pictures_fit_the_outputs(material: ReportMaterial) -> None:
    assert [item.title for item in shown(material)] == ["forecast", "forecast: phase portrait"]
    without_times = replace(material, times={})
    assert [item.title for item in shown(without_times)] == ["forecast"]
    (series,) = shown(without_times)
    assert series.picture.axes[0].get_xlabel() == "step"
    not_finite = replace(material, trajectories={"forecast": np.full((1, 21, 2), np.nan)})
    assert not list(shown(not_finite))


def test_classes_are_drawn_once_from_the_probabilities() -> None:
    model = model_of(DIGITS)
    scores = np.array([[3.0, 0.0, 1.0], [0.0, 0.5, 2.0]])
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    images = np.arange(32.0).reshape(2, 1, 4, 4)
    material = ReportMaterial(
        model, BARE, None, {"logits": scores, "probability": shares}, {"label": np.array([0, 1])}, {"image": images}
    )
    (only,) = shown(material)
    assert only.title == "probability"
    assert "Of the 2 samples looked at here, 1 are classified correctly" in only.caption
    gallery = replace(material, trajectories={}, targets={})
    assert [item.title for item in shown(gallery)] == ["Samples"]
    assert "data:image/png;base64," in write_report(material)


def test_two_states_of_one_solve_make_a_phase_portrait() -> None:
    model = model_of(SWING)
    t = np.linspace(0, 2, 21)
    outputs = {"angle": np.cos(t), "speed": -np.sin(t)}
    material = material_of(model, BARE, outputs, Samples({}, {}, "the one trajectory of the file"), None)
    assert [item.title for item in shown(material)] == ["angle", "speed", "Phase portrait"]
    np.testing.assert_allclose(material.times["angle"], t)
    portrait = list(shown(material))[-1].picture.axes[0]
    np.testing.assert_allclose(portrait.lines[0].get_xydata(), np.stack([np.cos(t), -np.sin(t)], axis=-1))


def test_a_torn_history_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss,validation_loss\n1,0.5,\n2,nan,0.25\n3,0.\n")
    assert read_history(path) == {"epoch": [1.0, 2.0], "loss": [0.5, None], "validation_loss": [None, 0.25]}
    path.write_text("")
    assert read_history(path) == {}
