"""Faults in what is done with noise: schemes, their coefficients, paths on coarser grids, kinds of noise."""

# ruff: noqa: E501 - what is replaced stands as it stands in the source
from __future__ import annotations

from tests.mutation.fault import Fault, area

COMPILER = "compiler/isocline_compiler"
T = "tests/compiler"
STEPS = (
    f"{T}/test_stochastic_tableaus.py", f"{T}/test_stochastic_peers.py", f"{T}/test_stochastic_schemes.py",
    f"{T}/test_scheme_families.py",
)  # fmt: skip

SCHEMES = area(
    f"{COMPILER}/solvers/schemes", "", STEPS,
    [
        ("maruyama.py", "moved(drifted(step, x, field(step.t, x)), noise)", "moved(drifted(step, x, field(step.end, x)), noise)", "a drift of the step's end"),
        ("maruyama.py", "k / (1.0 + span(h) * _over(norm, k))", "k / (1.0 + _over(norm, k))", "a drift tamed on every grid"),
        ("maruyama.py", "for i in field.spec.own]", "for i in field.spec.own[:1]]", "a norm of the first state alone"),
        ("maruyama.py", "[float(i == j) - h * entry", "[float(i == j) - 0.5 * h * entry", "half of a Jacobian in Newton's method"),
        ("maruyama.py", "rows[below] = [a - factor * b", "rows[below] = [a + factor * b", "a sign of an elimination"),
        ("maruyama.py", "target = drifted(step, known, field(step.end, y))", "target = drifted(step, known, field(step.t, y))", "an implicit drift of the step's begin"),
        ("milstein.py", "total([noise, scaled(0.5, second)])", "total([noise, scaled(0.4, second)])", "Milstein's term too small"),
        ("milstein.py", 'if field.spec.calculus == "ito":', "if False:", "Stratonovich's term for Ito's integral"),
        ("milstein.py", "scaled([-span(h) for h in step.widths], own)", "scaled([span(h) for h in step.widths], own)", "a sign of Ito's correction"),
        ("milstein.py", "[ones(field)] if each_drives_its_own(field) else [unit(*item) for item in channels(field)]", "[ones(field)]", "columns of commutative noise added up"),
        ("milstein.py", "field.stir_jvp(step.t, x, dw, noise)", "field.stir_jvp(step.t, x, dw, field.stir(step.t, x, ones(field)))", "a derivative along another direction"),
        ("milstein.py", "half, width = 0.5 / beside(root(step.h))", "half, width = 1.0 / beside(root(step.h))", "a difference of twice the size"),
        ("stratonovich.py", "there = total([scaled(step.widths, field(step.end, y)), field.stir(step.end, y, dw)])\n        return memory, moved(x, scaled(0.5, total([here, there])))\n\n\nclass StratonovichMidpoint", "there = total([scaled(step.widths, field(step.end, y)), field.stir(step.end, x, dw)])\n        return memory, moved(x, scaled(0.5, total([here, there])))\n\n\nclass StratonovichMidpoint", "Heun's noise that is not corrected"),
        ("stratonovich.py", "y = moved(x, scaled(0.5, here))", "y = moved(x, here)", "a midpoint at the end"),
        ("stratonovich.py", "2.0 * x[whose.get(i, i)] - b for", "1.0 * x[whose.get(i, i)] for", "a second solution that forgets itself"),
        ("stratonovich.py", "there = field.stir(step.end, moved(x, here), dw)", "there = field.stir(step.end, moved(x, scaled(0.5, here)), dw)", "half of a prediction"),
        ("rossler.py", "thrice = {name: (1 / (6.0 * h)) * (w * (w * w - 3.0 * h))", "thrice = {name: (1 / (6.0 * h)) * (w * (w * w - h))", "a wrong triple integral"),
        ("rossler.py", "twice = {name: (0.5 / width) * (w * w - h)", "twice = {name: (0.5 / width) * (w * w)", "a double integral of the other calculus"),
        ("rossler.py", "moves = [*_drift(step, self.a1[i], slopes), *([scaled(roots, total(spread))]", "moves = [*_drift(step, self.a0[i], slopes), *([scaled(roots, total(spread))]", "stages of the drift for those of the diffusion"),
        ("rossler.py", "if not abs(found - expected) <= TOLERANCE:", "if found - expected > TOLERANCE:", "a condition that may fall short"),
        ("rossler.py", "yield from super()._sums()", "yield from ()", "row sums of the drift are not required"),
        ("stochastic_tableaus.py", "beta4=(-2, Q(5, 3), Q(-2, 3), 1)", "beta4=(-2, Q(5, 3), Q(2, 3), Q(-1, 3))", "weights of the triple integral"),
        ("stochastic_tableaus.py", "beta2=(Q(3, 2), Q(-3, 2))", "beta2=(Q(-3, 2), Q(3, 2))", "SRA2 with the sign of another table"),
        ("stochastic_tableaus.py", "w0=((0, Q(-1, 2)), (0, Q(1, 3)))", "w0=((0, Q(-1, 2)), (0, Q(-1, 3)))", "a shifted stage on the other side"),
        ("stochastic_scheme.py", "{name: 0.5 * dw + h_areas[name]", "{name: 0.5 * dw - h_areas[name]", "an area of the mirrored path"),
        ("stochastic_scheme.py", "        if not spec.kinds & self.strong.keys():", "        if False:", "any noise for every scheme"),
        ("stochastic_scheme.py", 'if "additive" not in spec.kinds and spec.calculus not in self.calculi:', "if False:", "either integral for every scheme"),
        ("stochastic_problems.py", "np.exp((0.5 - 0.3**2 / 2) * t", "np.exp((0.5 - 0.3**2) * t", "a solution without half of its correction"),
    ],
)  # fmt: skip

KINDS = area(
    f"{COMPILER}/solvers", "", [f"{T}/test_noise_lowering.py", *STEPS],
    [
        ("noise_kinds.py", "    if not all(_is_plain(node) for node in factors):", "    if False:", "corners taken for what they are on one side"),
        ("noise_kinds.py", "nanmax(difference - SAME * size) <= 0", "nanmax(difference - size) <= 0", "brackets that need not vanish"),
        ("field.py", "place = (t, *x)", "place = (t,)", "a diffusion remembered for other states of the same time"),
        ("field.py", "known = {probes[i]: broadcast_like(value, x[i]) for i in moving if (value := v[i]) is not None}", "known = {probes[i]: 2.0 * broadcast_like(value, x[i]) for i in moving if (value := v[i]) is not None}", "a derivative along twice the direction"),
    ],
)  # fmt: skip

PATHS = area(
    f"{COMPILER}/certify/stochastic", "", [f"{T}/test_stochastic_schemes.py", f"{T}/test_stochastic_certificate.py"],
    [
        ("paths.py", "moves = own * np.sqrt(share)", "moves = own * share", "merged noise of the wrong variance"),
        ("paths.py", "before = np.cumsum(moves, axis=3) - moves", "before = np.cumsum(moves, axis=3)", "areas under the steps' ends"),
        ("paths.py", "integral = (share * (before", "integral = (1 / factor * (before", "areas of equal steps on unequal ones"),
        ("paths.py", "np.sqrt(12) * (integral - total / 2)", "np.sqrt(12) * (integral - total)", "an area that depends on its increment"),
    ],
)  # fmt: skip

NOISE: tuple[Fault, ...] = (*SCHEMES, *KINDS, *PATHS)
