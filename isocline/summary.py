"""A certificate in some ten lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from isocline.learned_lines import learned_lines
from isocline.stochastic_lines import stochastic_lines

Facts: TypeAlias = Mapping[str, Any]


def certificate_lines(certificate: Facts) -> list[str]:
    """What was proved, with which numbers. `certificate` is the content of `certificate.json`."""
    lines = [
        ("samples", certificate["samples"]),
        *(("solve", _solve(solve)) for solve in certificate["solves"]),
        *learned_lines(certificate.get("learned")),
        *_orders(certificate),
        *(("events", _events(name, facts)) for name, facts in certificate.get("events", {}).items()),
        *_errors(certificate),
        *stochastic_lines(certificate),
        ("parity", _parity(certificate)),
        *_native(certificate),
        *_stream(certificate.get("stream")),
        *_posterior(certificate["posterior"]),
        ("finite", _finite(certificate["finite"])),
        *(("check", _check(check)) for check in certificate["checks"]),
        *_parameters(certificate["parameters"]),
        *(("note", text) for text in (*_held(certificate.get("events", {})), *certificate["data_notes"])),
        ("graph", f"{certificate['graph']['nodes']} nodes, {certificate['graph']['bytes']} bytes"),
        ("latency", f"{certificate['latency']['p50_us']:.0f} µs, batch {certificate['latency']['batch']}"),
    ]
    width = max(len(name) for name, _ in lines)
    return [f"{name.ljust(width)}  {text}" for name, text in lines]


def _solve(solve: Facts) -> str:
    loop = f", {solve['segment']} at a time in a loop" if solve["segment"] else ""
    cost = f"{solve['steps']} steps{loop}, {solve['evaluations']} evaluations"
    return f"{solve['name']}: {solve['scheme']} of order {solve['order']}, {cost} ({solve['declared']})"


def _orders(certificate: Facts) -> Iterator[tuple[str, str]]:
    """What halving the steps showed beside what the schemes declare, and the second walk of a model's own steps."""
    shown = [f"{_order(item)} on {item['on']}" for item in certificate["orders"]]
    if shown:
        yield "order", ", ".join(shown)
    for item in certificate.get("newton", ()):
        how = f"{item['scheme']}, {item['iterations']} iterations"
        yield "newton", f"{item['solve']} {_number(item['largest'])}  (what {how} leave of a step, of the state's size)"
    if certificate["second_walk"]:
        moved = ", ".join(f"{name} {_number(value)}" for name, value in certificate["second_walk"].items())
        yield "steps", f"{moved}  (from an independent walk of the same steps in float64)"
    for name, away in certificate.get("restored", {}).items():
        yield (
            "inverse",
            f"{name} {_number(away)}  (from where the solve began that it undoes, in {certificate['dtype']})",
        )


def _events(solution: str, facts: Facts) -> str:
    """How often states jump where a condition is met, and how near to one another."""
    apart = "" if facts["nearest"] is None else f", those of one `when` {facts['nearest']:.1f} steps apart or more"
    return f"{solution}: at most {facts['most']} jumps in a sample{apart}"


def _held(events: Mapping[str, Facts]) -> Iterator[str]:
    """Conditions of `when` that hold where a solution begins: nothing jumps there, which the author may not expect."""
    for solution, facts in events.items():
        if facts.get("held"):
            where = f"{facts['held']} of {facts['samples']} samples"
            yield f"{solution}: a condition of `when` holds at the start in {where}; nothing jumps until it is left"


def _order(item: Facts) -> str:
    observed = "hidden by rounding" if item["observed"] is None else f"{item['observed']:.2f}"
    return f"{item['scheme']} {observed}"


def _parity(certificate: Facts) -> str:
    bound = _number(certificate["parity_bound"])
    return f"{_spreads(certificate['parity'])}  ({certificate['dtype']} against the float64 model, bound {bound})"


def _native(certificate: Facts) -> Iterator[tuple[str, str]]:
    """What rounding does to the model in C, and what a call of it takes."""
    native = certificate.get("native")
    if native is not None:
        time = f"{native['latency']['p50_us']:.0f} µs, batch {native['latency']['batch']}"
        yield "native", f"{_spreads(native['parity'])}  (the C against the float64 model; {native['compiler']}; {time})"
        brought = [f"{name} (measured)" if name == native["measured"] else name for name in native["libraries"]]
        if brought:
            yield "", f"libraries for {', '.join(brought)}"


def _stream(stream: Facts | None) -> Iterator[tuple[str, str]]:
    """How far the steps one after another are from the whole, and what has no steps."""
    if stream is None:
        return
    told = [
        f"{name} {'the same bits' if name in stream['same'] else _number(error)}"
        for name, error in stream["errors"].items()
    ]
    bound = _number(max(stream["bounds"].values()))
    steps = f"{stream['steps']} steps of {stream['loop']}, {stream['samples']} samples, against the whole"
    yield "stream", f"{', '.join(told)}  ({steps}, bound {bound})"
    if stream["known"]:
        yield "given", f"{', '.join(stream['known'])}: the whole is needed before the first step"
    if stream["whole"]:
        yield "no steps", f"{', '.join(stream['whole'])}: the whole path is needed"


def _posterior(posterior: Facts) -> Iterator[tuple[str, str]]:
    """How far the solution can be from a third one, and the reference from that."""
    if not posterior["samples"]:
        return
    bounds = ", ".join(f"{name} {_number(value)}" for name, value in posterior["bounds"].items())
    apart = ", ".join(f"{name} {_number(value)}" for name, value in posterior["apart"].items())
    how = f"DOP853, by its defect and logarithmic norm, {posterior['samples']} of the samples"
    yield "bound", f"{bounds or 'none, ' + posterior['why']}  ({how}; the reference is {apart} from it)"


def _finite(finite: Facts) -> str:
    """Whether every output is proved to be a number."""
    if finite["proved"]:
        return "proved for every input within its bounds"
    output = f" (output `{finite['output']}`)" if finite["output"] else ""
    return f"not proved: {finite['why']}{output}"


def _errors(certificate: Facts) -> Iterator[tuple[str, str]]:
    """The error of the grid, for models that are a differential equation."""
    if certificate["discretisation"]:
        apart = max(certificate["references_apart"].values(), default=0.0)
        against = f"against {certificate['reference']}, itself within {_number(apart)}"
        promised = f"stated {certificate['stated_error']:.0e}, " if certificate["error_is_stated"] else ""
        yield "error", f"{_spreads(certificate['deployed'])}  ({promised}{against})"
    if certificate["beyond"]:
        yield (
            "bounds",
            f"{_spreads(certificate['beyond'], 'runs to infinity on some')}  "
            "(the grid's, on draws from the inputs' bounds; not promised)",
        )
    if certificate["step_halving"]:
        moved = ", ".join(f"{name} {_number(value)}" for name, value in certificate["step_halving"].items())
        yield "halving", f"{moved}  (when every step is halved)"


def _spreads(spreads: Facts, infinite: str = "not finite") -> str:
    return ", ".join(f"{name} {_number(spread['maximum'], infinite)}" for name, spread in spreads.items())


def _number(value: float | None, infinite: str = "not finite") -> str:
    return infinite if value is None else f"{value:.1e}"


def _check(check: Facts) -> str:
    left = "not finite" if check["left"] is None else f"{check['left']:.4g}"
    return f"{check['text']}: {left}, {'holds' if check['holds'] else 'does not hold'}"


def _parameters(parameters: Sequence[Facts]) -> Iterator[tuple[str, str]]:
    """Fitted numbers with their standard errors; arrays are left to the report."""
    told = [_parameter(parameter) for parameter in parameters if isinstance(parameter["value"], float)]
    if told:
        yield "fitted", ", ".join(told)


def _parameter(parameter: Facts) -> str:
    value, error = parameter["value"], parameter["standard_error"]
    if not isinstance(error, float):
        return f"{parameter['name']} {value:.3g}"
    return f"{parameter['name']} {_with_error(value, error)}"


def _with_error(value: float, error: float) -> str:
    """`0.4002 ± 0.0017`: two digits of the error, and the value as far as they reach."""
    places = 1 - math.floor(math.log10(error)) if error > 0 else 0
    if not 0 <= places <= 6 or abs(value) >= 1e6:
        return f"{value:.4g} ± {error:.2g}"
    return f"{value:.{places}f} ± {error:.{places}f}"
