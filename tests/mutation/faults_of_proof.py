"""Faults of what proves a model: references, jumps, the search for the worst, causes, enclosures, rare samples; of seals
and tables.

Each names the tests that look at its place; most builds would not see a proof that says too little.
"""

# ruff: noqa: E501 - what is replaced stands as it stands in the source
from __future__ import annotations

from tests.mutation.fault import Fault, area

COMPILER = "compiler/isocline_compiler"
RUNTIME = "runtime/isocline_runtime"
T = "tests/compiler"
APART = f"{T}/test_references.py"
FORCED = "tests/acceptance/test_forcing.py"
WORST, HAND, STOPS = f"{T}/test_worst.py", f"{T}/test_evaluation_by_hand.py", f"{T}/test_certificate_stops.py"
BREAKS, CAUSE, RARE = f"{T}/test_breaks.py", f"{T}/test_cause.py", f"{T}/test_rare.py"
CHOOSE, STABLE, MEASURES = (
    f"{T}/test_certify_choose.py",
    f"{T}/test_certify_stability.py",
    f"{T}/test_certify_measures.py",
)
SOLVES = "tests/training/test_integrate.py"
PROVED = f"{T}/test_claims.py"

REFERENCES = area(
    COMPILER, "", [APART],
    [
        ("certify/reference.py", "TIGHTER = 1e-3", "TIGHTER = 1.0", "a reference as loose as the stated error"),
        ("certify/reference.py", '"dopri8", self.tolerance, 0.0', '"dopri8", 1e3 * self.tolerance, 0.0', "a tolerance a thousand times too large"),
        ("certify/reference_passes.py", "found.append((tolerance * largest)", "found.append((tolerance * torch.ones_like(largest))",
         "an absolute tolerance that forgets the size of a state"),
        ("certify/reference_passes.py", "largest = rows.amax(dim=1).clamp(min=1e-290)", "largest = rows.amax().expand(len(rows)).clamp(min=1e-290)",
         "one size for all samples"),
        ("certify/multistep.py", "absolute = tolerance * np.maximum(size, 1e-16 * float(size.max()) + 1e-290)", "absolute = tolerance",
         "the second reference forgets the size of a state"),
        ("certify/flat_states.py", "rows.amax(dim=1, keepdim=True).expand_as(rows)", "rows.amax().expand_as(rows)",
         "the second reference has one size for all samples"),
        ("training/sizes.py", "np.where(windows > RESTING * windows.max(axis=0), windows, np.inf).min(axis=0)",
         "np.where(windows > RESTING * windows.max(axis=0), windows, -np.inf).max(axis=0)", "the size of a state that decays is what it was at first"),
        ("certify/multistep.py", "longest: float = 1 / 1024", "longest: float = 1.0", "a second reference with long steps"),
        ("certify/multistep.py", "max_step=longest * self.horizon", "max_step=np.inf", "a second reference without a longest step"),
        ("certify/multistep.py", "return Breaks((*known.jumps, *(Jump(t, t, True) for t in features)))", "return Breaks()",
         "a second reference that begins anew nowhere", f"{FORCED}::test_the_deployed_answer_is_within_the_stated_error"),
        ("certify/flat_states.py", "return sum(sizes) // max(self.rows, 1) - 1", "return 0", "a Jacobian without what couples states"),
        ("certify/flat_states.py", "torch.cat([x.reshape(self.rows, -1) for x in states], dim=1).reshape(-1)",
         "torch.cat([x.reshape(self.rows, -1) for x in states], dim=1).T.reshape(-1)", "samples and states exchanged on the way"),
        ("training/integrate.py", "self._rows(x, has).square().mean(dim=1).amax().sqrt()", "self._rows(x, has).square().mean().sqrt()",
         "a norm over the batch"),
        ("training/integrate.py", "if before is None or not _same(before[0], reads):", "if before is None:", "jumps remembered for other inputs"),
        ("training/integrate.py", "onto = set(leg.features) | {leg.end}", "onto = {leg.end}", "pulses that are not stepped onto"),
        ("training/integrate.py", "onto |= {stop for stop in leg.stops if stop != leg.start}", "pass", "kept times by interpolation", SOLVES),
        ("certify/evaluation.py", "few._solve_by(multistep)", "few._solve_by(explicit)", "a second reference that is the first"),
        ("certify/evaluation.py", "if found.largest <= self.error * AGREED:", "if True:", "references need not agree"),
        ("certify/evaluation.py", "AGREED = 0.1", "AGREED = 10", "references may differ by ten times the error"),
        ("certify/evaluation.py", "found[name] = float(relative_errors(array, same, batched).max())", "found[name] = float(np.median(relative_errors(array, same, batched)))",
         "references agree on most samples"),
        ("certify/evaluation.py", "MOST_CHECKED, MOST_ENTRIES, ALONE = 64, 4096, 8", "MOST_CHECKED, MOST_ENTRIES, ALONE = 1, 4096, 8", "references agree on one sample"),
        ("certify/evaluation.py", "        rows = self.samples.spread(self._checked)\n        found", "        rows = np.arange(min(self._checked, self.samples.count))\n        found", "references compared on other samples"),
        ("certify/evaluation.py", "max(value, second.apart.get(name, 0.0))", "value", "references apart at the worst inputs"),
        ("certify/evaluation.py", "np.concatenate([array, second.outputs[name]]) if", "np.concatenate([array, array[: len(second.outputs[name])]]) if",
         "the answers of other inputs for the worst"),
        ("certify/evaluation.py", "        if self.settled is not None:\n            return self.settled\n", "        if self.settled is not None:\n            return replace(self.settled, breaks={})\n",
         "jumps forgotten with the worst inputs"),
    ],
)  # fmt: skip

JUMPS = area(
    COMPILER, "", [BREAKS],
    [
        ("training/breaks.py", "return Breaks(tuple(jumps), tuple(reversed(features)", "return Breaks((), tuple(reversed(features)", "jumps dropped"),
        ("training/breaks.py", "float(points[i]), float(points[i + 1]), bool(", "float(points[i]), float(points[i]), bool(", "a jump that ends where it begins"),
        ("training/breaks.py", "jumps = [Jump(item.after, item.before, item.shared) for item in reversed(jumps)]", "jumps = [Jump(item.before, item.after, item.shared) for item in reversed(jumps)]",
         "the wrong side of a jump backwards in time"),
        ("training/breaks.py", "features = _features(points, found, jumps)", "features: list[float] = []", "pulses are not searched"),
        ("training/breaks.py", "np.concatenate([fresh, crossing, _graded(around, high - low)])", "np.concatenate([fresh, crossing])", "no samples around zeros"),
        ("training/breaks.py", "ROUNDS = 6", "ROUNDS = 1", "one round of the search for jumps"),
        ("training/breaks.py", "same = (read(middle) == start).all(axis=1)", "same = (read(middle) == start).any(axis=1)", "a change of all columns sought"),
        ("training/breaks.py", "BEYOND = 2e-6", "BEYOND = 0.0", "a jump at the very end is not seen"),
        ("training/breaks.py", "if jumps and before - jumps[-1].after <= rounding:", "if jumps and before - jumps[-1].after <= 1e9 * rounding:", "a short push taken for one jump"),
        ("training/breaks.py", "FEW_FEATURES, NARROW = 256, 1 / 32", "FEW_FEATURES, NARROW = 256, 1.0", "a steady swing taken for a pulse"),
        ("backends/forcing.py", "np.full(size, not node.type.batched)", "np.full(size, True)", "the jump of one sample taken for that of all"),
        ("training/clock.py", "start = max(start, cut.after) if forwards > 0", "start = max(start, cut.before) if forwards > 0", "a leg begins on the wrong side"),
        ("training/clock.py", "found.append(Leg(start, cut.before, stops, tuple(features)))", "found.append(Leg(start, cut.after, stops, tuple(features)))", "a leg ends on the wrong side"),
        ("training/clock.py", "(s for s in breaks.features if (s - start) * (cut.before - s) > 0)", "(s for s in breaks.features if (s - start) * (cut.before - s) < 0)",
         "pulses of other legs"),
        ("training/clock.py", "s.clamp(*_rounded_inwards(ends, s.dtype)) if clamped else s", "s", "a field read beyond the leg's end"),
        ("training/clock.py", "margin = 0.0 if dtype == torch.float64 else", "margin = 0.0 if True else", "single precision meets the other side"),
        ("training/clock.py", "return set(self.stops[1:-1])", "return set()", "one leg for all given times", SOLVES),
        ("training/clock.py", "tuple(_over(width, value) * value for value in values)", "tuple(values)", "a clock that forgets its speed", SOLVES),
        ("training/clock.py", "return {begin + length * k / depth for depth in depths for k in range(1, depth)}", "return set()", "a leg across rows of weights", SOLVES),
        ("solvers/grid.py", "tuple(t + inwards if i in self.jumps else t for i, t in enumerate(self.times[:-1]))", "tuple(t - inwards if i in self.jumps else t for i, t in enumerate(self.times[:-1]))",
         "a step begins on the wrong side of a jump"),
        ("solvers/grid.py", "frozenset(at), jumps.margin)", "frozenset(), jumps.margin)", "a grid that stands on jumps and does not know it"),
        ("solvers/grid.py", "jumps=frozenset(2 * index for index in grid.jumps)", "jumps=frozenset(index for index in grid.jumps)", "jumps where halving has moved them from"),
        ("solvers/grid.py", "for t in (*inside, *jumps.around):", "for t in jumps.around:", "jumps that no node stands on"),
        ("solvers/grid.py", "near = 4 * jumps.margin\n    inside", "near = 4e6 * jumps.margin\n    inside", "a jump taken for the time beside it"),
        ("certify/evaluation.py", "for jump in item.jumps if jump.shared]", "for jump in item.jumps]", "a grid that stands on the jumps of each sample", APART),
        ("certify/evaluation.py", "if there - here <= 4 * margin and", "if False and", "jumps that single precision cannot tell apart", APART),
        ("certify/evaluation.py", "margin = 4 * float(np.finfo(self.model.deployment.dtype).eps)", "margin = 0 * float(np.finfo(self.model.deployment.dtype).eps)",
         "no margin around jumps", APART),
        ("solvers/unroll/time_table.py", "for item in (grid.begins, grid.ends))", "for item in (grid.times[:-1], grid.times[1:]))", "a loop that reads jumps from either side", APART),
    ],
)  # fmt: skip

SEARCHED = area(
    COMPILER, "", [WORST],
    [
        ("certify/prove.py", "        if self.dataset is not None or not are_drawable(self.model.inputs):\n            return 0.0\n", "        return 0.0\n", "no search for the worst"),
        ("certify/prove.py", "        self.measuring = known.joined(found, origin)\n", "", "the worst inputs are found and not measured"),
        ("certify/prove.py", "<= plan.error * (1 + MARGIN) / 2:", "<= 1e3 * plan.error:", "the worst inputs change no grid"),
        ("certify/worst.py", "order = np.argsort(-errors)[:KEPT]\n    worst, errors = known", "order = np.argsort(errors)[:KEPT]\n    worst, errors = known", "a search that begins at the best"),
        ("certify/worst.py", "errors = np.maximum(errors, relative)", "errors = relative", "the last output alone is searched"),
        ("certify/worst.py", "small |= own < SMALL * usual[name]", "small |= own < 0.0", "a search that runs after zeros"),
        ("certify/worst.py", "moved = array + radius * (high - low) * generator", "moved = array + 0 * radius * (high - low) * generator", "a search that stands still"),
        ("certify/worst.py", "array = np.where((moved > low) & (moved < high), moved, array)", "array = moved", "a search beyond the bounds"),
        ("certify/samples.py", "    corners = _corners(inputs, draws, generator)\n", "    corners = None\n", "corners dropped"),
        ("certify/samples.py", "np.where(chosen == 1, high - inside, low + inside)", "np.where(chosen == 1, high - inside, high - inside)", "one corner for all"),
        ("certify/samples.py", "np.linspace(0, self.count - 1, count).round()", "np.arange(count)", "the first samples for all", f"{WORST}::test_few_of_many_samples_are_spread_over_all_of_them"),
        ("certify/prove.py", "if name and not value <= certificate.parity_bound", "if False and not value <= certificate.parity_bound", "rounded inputs are not required", f"{WORST}::test_an_input_that_single_precision_cannot_hold_stops_the_build"),
        ("certify/prove.py", 'given.rounded("float32").inputs[name] if name in names', 'given.rounded("float64").inputs[name] if name in names', "inputs that are not rounded", f"{WORST}::test_an_input_that_single_precision_cannot_hold_stops_the_build"),
        ("certify/trials.py", 'precision: Precision = "float64" if dtype', 'precision: Precision = "float32" if dtype', "trials in single precision", f"{WORST}::test_a_trial_of_a_long_grid_answers_as_torch_does"),
        ("certify/runner.py", "zip(outputs, session.run(outputs, given), strict=True)",
         "zip(outputs, reversed(session.run(outputs, given)), strict=True)", "the outputs of a trial exchanged", f"{WORST}::test_a_trial_of_a_long_grid_answers_as_torch_does"),
    ],
)  # fmt: skip

CLAIMS = area(
    COMPILER, "", [STOPS, f"{T}/test_driver.py"],
    [
        ("certify/prove.py", "and self._is_bounded and not moved <= certificate.stated_error", "and False", "halved steps are not required", f"{T}/test_driver.py::test_a_grid_that_has_not_converged_is_e601_and_e631"),
        ("certify/prove.py", "trial(evaluator, {solve.spec.choice: halved(choices[solve.spec.choice])", "trial(evaluator, {solve.spec.choice: (choices[solve.spec.choice])", "halved steps that are not", f"{PROVED}::test_halved_steps_move_as_far_as_the_closed_form_says"),
        ("certify/prove.py", "(model_order(evaluator, choices) if evaluator.open else ())", "()", "the order on the model is not measured", f"{PROVED}::test_the_certificate_holds_the_order_on_the_model"),
        ("certify/prove.py", "return max(PARITY * error, min(AT_MOST * error, SINGLE), LEAST_PARITY)", "return 100 * max(PARITY * error, min(AT_MOST * error, SINGLE), LEAST_PARITY)",
         "a bound on rounding a hundred times too large", f"{PROVED}::test_rounding_is_bounded_by_a_tenth_of_the_error_or_what_single_precision_keeps"),
        ("certify/prove.py", "NAMED_PARITY = 1e-5", "NAMED_PARITY = 1e-3", "a bound on rounding a hundred times too large beside a named scheme", f"{PROVED}::test_rounding_is_bounded_by_a_tenth_of_the_error_or_what_single_precision_keeps"),
        ("certify/prove.py", "deployed=compare(deployed, evaluator.reference, graph) if is_open", "deployed=compare(exact, evaluator.reference, graph) if is_open", "the float64 grid for what is deployed", f"{PROVED}::test_the_error_of_what_is_deployed_holds_its_rounding"),
        ("certify/prove.py", "parity=compare(deployed, exact, graph)", "parity=compare(deployed, deployed, graph)", "rounding compared with itself", f"{PROVED}::test_the_error_of_what_is_deployed_holds_its_rounding"),
        ("certify/order.py", "if not isfinite(after) or after <= HIDDEN:", "if not isfinite(after) or after <= 1.0:", "every order is hidden by rounding", f"{PROVED}::test_the_order_on_a_smooth_model_is_that_of_the_scheme"),
        ("certify/order.py", "expected = min(declared, 1) if begun or _has_corners(evaluator.graph) else smooth", "expected = 0.0", "no order is expected of a model", f"{PROVED}::test_the_order_on_a_smooth_model_is_that_of_the_scheme"),
        ("certify/measures.py", "scale = np.abs(b).max(axis=1)", "scale = np.maximum(np.abs(a), np.abs(b)).max(axis=1)", "relative to the larger of both", MEASURES),
        ("certify/measures.py", "difference = np.abs(a - b).max(axis=1)", "difference = np.abs(a - b).max(axis=1) * (scale > 1e-6)", "an answer near zero counts as exact", MEASURES),
        ("certify/measures.py", "int(errors.argmax()))", "int(errors.argmin()))", "the best sample named as the worst", MEASURES),
        ("certify/stability.py", "down = amplification[eigenvalues.real < 0]", "down = amplification[eigenvalues.real > 0]", "growth taken for decay", STABLE),
        ("certify/spectrum.py", 'which="LM"', 'which="SM"', "the innermost eigenvalues", STABLE),
        ("certify/sweep.py", "return again if again.error <= self.bound and self._rounds(again) <= self.rounding else None", "return None", "compensated sums never taken", f"{T}/test_compensated.py::test_auto_takes_compensated_sums_where_a_long_loop_rounds_too_much"),
        ("solvers/schemes/compensated.py", "rest - carry for rest", "rest + carry for rest", "what was rounded off added once more", f"{T}/test_compensated.py"),
        ("solvers/schemes/compensated.py", "ROUNDED_OFF(value, move) + ROUNDED_OFF", "ROUNDED_OFF(move, value) + ROUNDED_OFF", "the rounding of the smaller term", f"{T}/test_compensated.py"),
        ("ops/arithmetic.py", 'emitter.node("Sub", emitter.node("Sub", emitter.node("Add", a, b), a), b)', 'emitter.node("Sub", emitter.node("Sub", a, emitter.node("Add", a, b)), b)', "the rounding of a sum with a wrong sign", f"{T}/test_compensated.py"),
        ("ops/arithmetic.py", "sum(number - float(np.float32(number)) for number in numbers)", "sum(float(np.float32(number)) - number for number in numbers)", "what is lost of coefficients lost twice", f"{T}/test_compensated.py"),
        ("solvers/schemes/cost.py", "self.nodes * CALL + samples * self.per_sample * 1e-9", "self.nodes * CALL + self.per_sample * 1e-9", "a prediction that forgets the batch", f"{CHOOSE}::test_the_declared_batch_decides_what_is_fast"),
        ("certify/sweep.py", "return found.seconds if found is not None else rounded", "return 1e9", "grids tried that could not be faster", f"{CHOOSE}::test_no_grid_is_tried_that_takes_longer_than_the_best"),
        ("certify/reference_passes.py", "<= self.solved.slack * SURE", "<= 1e9", "a looser pass taken for a tighter one", f"{T}/test_evaluation_by_hand.py", f"{T}/test_reference_passes.py"),
        ("certify/posterior.py", "- slopes) / size[:, None]", "- slopes) * 1e-3 / size[:, None]", "a defect that is made small", f"{T}/test_posterior.py"),
        ("certify/posterior.py", "symmetric = np.linalg.eigvalsh((a + a.T) / 2)[-1]", "symmetric = diagonal.max()", "a logarithmic norm of the diagonal alone", f"{T}/test_posterior.py"),
        ("certify/posterior.py", "error = np.exp(np.minimum(growth, MOST_GROWTH)) * error", "error = error", "errors that do not grow", f"{T}/test_posterior.py"),
        ("certify/posterior.py", "return known and not self.apart[output] <= allowed", "return False", "a third solution that is not heard", f"{T}/test_posterior.py"),
        ("certify/sweep.py", "            return self._between(scheme, 0, most)\n", "            return self._try(scheme, most)\n", "more steps than are needed", f"{CHOOSE}::test_fewer_steps_of_the_scheme_that_is_taken_would_not_do"),
        ("certify/sweep.py", "            if known == choice:\n", "            if known.scheme == choice.scheme:\n", "the answers of another grid", f"{CHOOSE}::test_a_trial_states_the_error_that_its_grid_has"),
        ("certify/evaluation.py", "return replace(first, hurried=True) if isinstance(first, AdaptiveExplicit) else first", "return first", "a search that does not hurry", f"{T}/test_references.py::test_a_search_hurries_and_what_is_believed_does_not"),
        ("certify/sweep.py", "while not self._converges(scheme, high, trial):", "while False:", "a grid that is accurate by chance", f"{CHOOSE}::test_a_grid_that_is_exact_by_chance_is_not_taken"),
        ("certify/sweep.py", "if self._rounds(trial) <= self.rounding:", "if True:", "a grid that rounds too much", f"{CHOOSE}::test_float32_vetoes_a_grid_that_rounds_badly"),
        ("certify/derivatives.py", "error = abs(found - expected) / terms if terms > 0 else abs(found)", "error = 0.0 * abs(found - expected) / terms if terms > 0 else abs(found)",
         "products with derivatives are all right", f"{STOPS}::test_a_wrong_derivative_rule_stops_the_build"),
        ("certify/culprit.py", "now = tuple(values[result] for result in region.results[:states])", "now = now[:states]", "a culprit sought in the first step alone", CAUSE),
    ],
)  # fmt: skip

CAUSES = area(
    f"{COMPILER}/certify", "", [CAUSE],
    [
        ("cause.py", "found = _not_a_number(stuck)", "found = None", "what is not a number is not named"),
        ("cause.py", "found = _stiff(stuck)", "found = None", "what is stiff is not named"),
        ("cause.py", "return found or _switch(stuck) or _running_away(stuck)", "return found or _running_away(stuck)", "a switch is not named"),
        ("cause.py", "return found or _switch(stuck) or _running_away(stuck)", "return found or _switch(stuck)", "what runs away is not named"),
        ("cause.py", "(eigenvalues.real < 0) & (np.abs(eigenvalues.real) >= np.abs(eigenvalues.imag))", "(eigenvalues.real > 0) & (np.abs(eigenvalues.real) >= np.abs(eigenvalues.imag))",
         "growth taken for stiffness"),
        ("cause.py", "forwards * part * size * torch.sign(v)", "-forwards * part * size * torch.sign(v)", "looked for where the solution came from"),
        ("prove.py", "    if where is not None:\n        return messages.digits_lost", "    if False:\n        return messages.digits_lost", "lost digits are not told from rounding", f"{RARE}::test_the_place_that_is_told_is_where_the_digits_are_lost"),
        ("prove.py", "place = row - self._draws.count if", "place = row - self._draws.count - 1 if", "another sample named for lost digits", f"{RARE}::test_every_sample_near_a_zero_is_told_by_its_own_place"),
    ],
)  # fmt: skip

ENCLOSED = area(
    COMPILER, "", [f"{T}/test_enclosure.py"],
    [
        ("graph/interval.py", "end - room), -np.inf)", "end + room), -np.inf)", "ends moved inwards"),
        ("graph/interval.py", "room = np.abs(end) * (units * self.unit + NUMPY) + (self.smallest + absolute)", "room = np.abs(end) * NUMPY + (self.smallest + absolute)", "rounding of a result forgotten"),
        ("graph/interval.py", "narrow = value if self is FLOAT64 else value.astype(np.float32)", "narrow = value", "literals that are not rounded"),
        ("graph/interval.py", "moved = np.where(moved < -self.largest, -np.inf, moved)", "", "an overflow that ends at the largest number"),
        ("graph/interval.py", "np.all((other.low <= self.low) & (self.high <= other.high))", "np.all((other.low <= self.low) | (self.high <= other.high))", "half within is within"),
        ("graph/interval.py", 'return FLOAT32 if dtype == "float32" else FLOAT64', "return FLOAT64", "single precision enclosed as double"),
        ("ops/enclosures.py", "return Interval(-x.high, -x.low)", "return Interval(-x.low, -x.high)", "ends that keep their places under a minus"),
        ("ops/enclosures.py", "return total(precision, a, negative(b))", "return total(precision, a, b)", "a difference enclosed as a sum"),
        ("ops/enclosures.py", "for right in (b.low, b.high)]", "for right in (b.low,)]", "corners forgotten in a product"),
        ("ops/enclosures.py", "np.where(x.has(0.0), 0.0, np.minimum(low, high)), np.maximum(low, high))", "np.minimum(low, high), np.maximum(low, high))", "a square that never meets 0"),
        ("ops/enclosures.py", "    zero = b.has(0.0)\n", "    zero = b.low == 0.0\n", "a pole inside of an interval"),
        ("ops/enclosures.py", "lambda precision, x: rising(precision, negative(x))", "lambda precision, x: rising(precision, x)", "a function that falls enclosed as one that rises"),
        ("ops/enclosures.py", "share = 1.01 * (terms + 2) * (precision.unit + NUMPY)", "share = 1.01 * (precision.unit + NUMPY)", "a long sum that rounds once"),
        ("ops/enclosures.py", "apply(np.abs(m_a) + r_a, r_b)\n    size", "apply(np.abs(m_a), r_b)\n    size", "a product of radii dropped"),
        ("ops/enclosures.py", "low = np.where(_meets(x, first_peak + np.pi), -1.0,", "low = np.where(_meets(x, first_peak + 3.0), -1.0,", "the valley of a sine beside its place"),
        ("ops/enclosures.py", "np.where(x.has(at), function(np.array(at)), np.minimum(*ends))", "np.minimum(*ends)", "the valley of a gelu forgotten"),
        ("ops/enclosures.py", "((a.low < 0) & ~whole)", "((a.high < 0) & ~whole)", "roots of what may be negative"),
        ("certify/enclosure.py", "        if not item.is_finite:\n            failure", "        if False:\n            failure", "everything is proved to be finite"),
        ("certify/enclosure.py", "float(end)) for end in port.bounds)", "float(end)) for end in (port.bounds[0],) * 2)", "a box that is a corner"),
        ("certify/enclosure.py", "if failed is not None or not all(a.within(b) for a, b in zip(after, tried, strict=True)):", "if failed is not None:", "any invariant is believed"),
        ("certify/enclosure.py", "met = tuple(a.joined(b) for a, b in zip(met, now, strict=True))", "met = now", "an invariant of the last iteration alone"),
        ("certify/enclosure.py", "np.full(shape, (port.classes or 2) - 1.0)", "np.full(shape, 0.0)", "the first class alone"),
        ("certify/enclosure.py", "*(item.row(i) for item in stacked)", "*(item.row(0) for item in stacked)", "every iteration reads the first row"),
    ],
)  # fmt: skip

NEAR_ZEROS = area(
    f"{COMPILER}/certify", "", [RARE],
    [
        ("prove.py", "return draws if rare is None else draws.joined(", "return draws if True else draws.joined(", "rare samples dropped"),
        ("rare.py", "DISTANCES = (1e-6, 1e-4, 1e-2)", "DISTANCES = (1e-2,)", "rare samples far from zeros alone"),
        ("rare.py", "for sign in (-1.0, 1.0))", "for sign in (1.0,))", "one side of a zero"),
        ("rare.py", "        return (node.inputs[1],)\n", "        return (node.inputs[0],)\n", "numerators for divisors"),
        ("rare.py", 'if node.op.name in ("log", "sqrt"):', 'if node.op.name in ("log",):', "roots without zeros"),
        ("rare.py", "(middle, high) if self._values(middle)[i][0, j] < 0 else (low, middle)", "(low, middle) if self._values(middle)[i][0, j] < 0 else (middle, high)",
         "the wrong half of a line"),
        ("rare.py", "                found += self._downhill(i, j, column)\n", "                pass\n", "zeros that are not crossed"),
        ("rare.py", 'FACTORS = frozenset(("mul", "neg", "abs", "square", "sqrt", "sum"))', "FACTORS: frozenset[str] = frozenset()", "the factors of a divisor"),
        ("fresh_samples.py", "    if rare is not None:\n", "    if False:\n", "derivatives are not tried near zeros"),
    ],
)  # fmt: skip

OWN_STEPS = area(
    COMPILER, "", [f"{T}/test_lockstep.py"],
    [
        ("certify/own_times.py", "rank = max(len(item.type.sample) for item in inputs)", "rank = 0", "times that meet the axes of a state"),
        ("certify/own_times.py", "            return None\n    return own\n", "            pass\n    return own\n", "own times that are believed"),
        ("certify/own_times.py", "return any(node.op.piece is not None for node in dependent", "return not any(node.op.piece is not None for node in dependent", "bends sought where there are none"),
        ("certify/lockstep.py", "            good = error <= 1\n", "            good = error <= 1e6\n", "steps that err are taken"),
        ("certify/lockstep.py", "t = np.where(good, np.where(arrives, there, t + way * tried), t)", "t = np.where(good, np.where(arrives, there, t + 0.999 * way * tried), t)", "a clock that goes after"),
        ("certify/lockstep.py", "            self.x = np.where(good[:, None], y, self.x)\n", "            self.x = np.where(good.any(), y, self.x)\n", "one sample's step for all"),
        ("certify/lockstep.py", "return [found[stop] for stop in leg.stops]", "return [found[stop] for stop in reversed(leg.stops)]", "stops turned round"),
        ("certify/lockstep.py", "of(torch.from_numpy(t).clamp(*ends), states, slices)", "of(torch.from_numpy(t).clamp(ends[0], ends[0]), states, slices)", "a leg that stands still"),
        ("certify/lockstep.py", "PATIENCE, LEAST = 6_000, 1e-15", "PATIENCE, LEAST = 10, 1e-15", "no patience with bends"),
        ("certify/dop853.py", "k[0] = f(t, x)", "k[0] = f(t + h, x)", "the first slope of the next step"),
        ("certify/dop853.py", "np.tensordot(dop.A[i, :i], k[:i], 1)", "np.tensordot(dop.A[i, :i], k[:i], 1) * 0.999", "stages that are too short"),
        ("certify/cause.py", "                    if not _jumps(stuck, t, x, moved, node, row):\n                        continue\n", "", "a bend that is said to hold", ),
        ("certify/cause.py", "            return True\n    return False\n\n\ndef _largest", "            return False\n    return False\n\n\ndef _largest", "a jump that is never seen"),
        ("certify/order.py", "and found > earlier and count < RISING", "and False", "an order that is not waited for", PROVED),
        ("certify/order.py", "            if count >= patience and not rises:\n", "            if False:\n", "an order that is waited for in vain", PROVED),
        ("certify/sweep.py", "if self.chosen or trial is None or not trial.error > self.bound:", "if self.chosen or trial is None:", "what held on fewer samples holds on more", f"{CHOOSE}::test_what_a_search_left_changes_nothing_on_more_samples"),
        ("training/breaks.py", "number = (a >> 1) + (b >> 1) + (a & b & 1)", "number = (a >> 1) + (b >> 1) + 2", "floats counted wrongly", BREAKS),
        ("certify/evaluation.py", "if float(np.abs(first).max()) <= NOTHING * begun:", "if True:", "references that differ are said to be rounding", APART),
        ("certify/evaluation.py", "NOTHING = 1e-15", "NOTHING = 0.0", "rounding that is said to differ", APART),
    ],
)  # fmt: skip

SEALED = area(
    ".", "", ["tests/cli/test_verify.py"],
    [
        ("isocline/verification.py", 'graph["sha256"], hashlib.sha256(content).hexdigest())', 'graph["sha256"], graph["sha256"])', "a hash that is believed"),
        ("isocline/verification.py", "0.0, largest_error(found[name], expected), 2 * bound)", "0.0, largest_error(expected, expected), 2 * bound)", "answers compared with themselves"),
        ("isocline/verification.py", "largest_error(found[name], reference), SLACK * stated + bound)", "largest_error(found[name], reference))", "an error without a limit"),
        ("isocline/verification.py", "self.limit is None or self.measured <= self.limit", "self.limit is None or not self.measured > self.limit", "what is not a number holds"),
        ("isocline/verification.py", "parity, bound)", "parity, 1e9 * bound)", "a parity without a limit"),
        ("isocline/verification.py", "            yield Claim(proof[\"result\"], float(proof[\"error\"] or 0.0), *error)\n", "            pass\n", "explanations are not measured"),
        ("isocline/verification.py", "session = load(path, trust=trust)", "session = load(path)", "a key that is not heard", "tests/cli/test_sign.py"),
        (f"{RUNTIME}/seal.py", "    if public != trusted:\n", "    if False:\n", "any key is trusted", "tests/cli/test_sign.py"),
        (f"{RUNTIME}/seal.py", ".from_public_bytes(public).verify(signature, manifest)", ".from_public_bytes(public)", "a seal that is not checked", "tests/cli/test_sign.py"),
        (f"{RUNTIME}/artifact.py", "    if trust is not None:\n        seal = ", "    if False:\n        seal = ", "a folder that needs no seal", "tests/cli/test_sign.py"),
        (f"{RUNTIME}/artifact.py", "    if len(content) != info.bytes:\n", "    if False:\n", "a size that is not compared", "tests/runtime/test_artifact.py"),
        (f"{RUNTIME}/artifact.py", "        if not PLAIN_NAME.fullmatch(name):\n", "        if False:\n", "names that lead out of the folder", "tests/runtime/test_artifact.py"),
        (f"{RUNTIME}/loading.py", "        check_signature(artifact.model_file, inputs, (*artifact.manifest.inputs, *noises.ports))\n", "", "inputs of another model", "tests/runtime/test_session.py"),
        (f"{RUNTIME}/loading.py", "        check_signature(artifact.model_file, outputs, artifact.manifest.outputs)\n", "", "outputs of another model", "tests/runtime/test_session.py"),
        (f"{RUNTIME}/signature.py", "    return all(isinstance(size, str) or size == stated", "    return any(isinstance(size, str) or size == stated", "one axis that agrees", "tests/runtime/test_session.py"),
        (f"{RUNTIME}/loading.py", "    check_operations(facts, artifact.manifest, artifact.model_file, limits)\n", "", "operations without a limit", "tests/runtime/test_limits.py"),
        (f"{RUNTIME}/native/opening.py", "if content is not None and (trusted or is_kept(place_of_shipped(program, content))):", "if content is not None:", "a library that nobody signed is run", "tests/native/test_shipped.py"),
        (f"{RUNTIME}/native/building.py", "        (folder / place.name).write_bytes(content)\n        _move(folder, place.parent)\n    return Library(place, True)\n", "        (folder / place.name).write_bytes(content)\n        _move(folder, place.parent)\n    return Library(place, False)\n", "a library that came is believed", "tests/native/test_shipped.py"),
        (f"{RUNTIME}/loading.py", "    if session.manifest != manifest:\n", "    if False:\n", "a copy of another session", "tests/test_python.py::test_a_copy_of_a_session_whose_folder_was_built_anew_is_refused"),
        (f"{RUNTIME}/limits.py", "options.terminate = True", "options.terminate = False", "a watchdog that sleeps", "tests/runtime/test_limits.py"),
        (f"{RUNTIME}/limits.py", "            if deadline < self._wakes:\n", "            if False:\n", "a watchdog that is not woken", "tests/runtime/test_limits.py"),
        (f"{RUNTIME}/loading.py", "artifact.model_file, providers, threads, memory)", "artifact.model_file, providers, threads, None)", "a bound on memory that is not heard",
         "tests/runtime/test_limits.py::test_each_session_has_its_own_memory", "tests/runtime/test_limits.py::test_a_tensor_beyond_the_memory_is_refused"),
        (f"{RUNTIME}/columns.py", "[table.values(column, port.dtype) for column in port.columns]", "[table.values(column, port.dtype) for column in table.columns[: len(port.columns)]]",
         "columns by their places", "tests/runtime/test_tables.py"),
        (f"{RUNTIME}/columns.py", "for index in wanted]", "for index in indexed]", "entries in the order of the file", "tests/runtime/test_tables.py"),
        (f"{RUNTIME}/columns.py", "array[(slice(None), *index)]", "array[(slice(None), *(i % 1 for i in index))]", "the first entry in every column", "tests/runtime/test_tables.py"),
        (f"{RUNTIME}/columns.py", "    if not (array == array[:1]).all():\n", "    if False:\n", "rows that differ of what is shared", "tests/runtime/test_tables.py"),
        (f"{COMPILER}/training/priors.py", "return 1 / (self.samples * self.entries)", "return 1 / self.samples", "a log density that is a mean", "tests/training/test_log_densities.py::test_an_epidemic_with_a_prior"),
        (f"{COMPILER}/training/whole_sample.py", "if max(ratios) > min(ratios) * (1 + 1e-9):", "if False:", "terms that weigh differently are a density", "tests/training/test_log_densities.py::test_a_sum_that_is_no_density_has_no_errors_and_says_why"),
        (f"{COMPILER}/training/whole_sample.py", "term.entries(sizes) / term.factor", "term.entries(sizes)", "the factor of a density", "tests/training/test_log_densities.py::test_two_terms_with_the_factors_of_their_entries"),
        (f"{COMPILER}/training/curvature.py", "value = scale * loss.total - loss.terms", "value = scale * loss.total", "standard errors without their priors", "tests/training/test_laplace.py"),
    ],
)  # fmt: skip

KEPT, SLOPE, DRAWS = (
    f"{T}/test_bespoke.py::test_{name}"
    for name in (
        "consistency_and_row_sums_hold_in_exact_arithmetic_and_the_order_to_rounding",
        "the_gradient_is_that_of_torch_and_of_finite_differences",
        "what_is_learned_on_is_measured_on_by_nobody",
    )
)
WALKED = f"{T}/test_scheme_families.py::test_emitted_steps_are_those_of_the_paper[None-bespoke from rk4]"
LEARNED = area(
    COMPILER, "", [KEPT],
    [
        ("solvers/schemes/bespoke.py", "b[:, -1] = 2.0**FRACTION - b[:, :-1].sum(axis=1)", "pass", "learned weights that sum to one but for rounding"),
        ("solvers/schemes/bespoke.py", "            if weights or rows:\n", "            if False:\n", "sums of learned coefficients are not required",
         f"{T}/test_bespoke.py::test_a_record_whose_sums_are_off_by_one_bit_cannot_be_built"),
        ("solvers/schemes/bespoke.py", "[:, None] + widths * np.array(self.c)", "[:, None] + 0 * widths * np.array(self.c)", "learned stages at the begin of their step", WALKED),
        ("solvers/schemes/bespoke.py", "place = stages + i * (i - 1) // 2", "place = stages", "learned stages that read another row", WALKED),
        ("certify/bespoke/parameters.py", "sums.clamp(EARLIEST, 1.0)", "sums.clamp(EARLIEST, 2.0)", "learned stages beyond their step"),
        ("certify/bespoke/parameters.py", "torch.tensor([1.0, 1 / 2], dtype", "torch.tensor([1.0, 1 / 3], dtype", "learned weights of another order"),
        ("certify/bespoke/gradient.py", "2.0 * (y - right[k]) * scale[k]", "(y - right[k]) * scale[k]", "a slope that is half of it", SLOPE),
        ("certify/bespoke/lessons.py", "LESSON, OTHER, FRESH = (1001, 512), (1002, 512), (1003, 512)", "LESSON, OTHER, FRESH = (1001, 512), (1002, 512), (1001, 512)",
         "measured on what was learned on", DRAWS),
        ("certify/bespoke/lessons.py", "middle - factor * half, middle + factor * half", "middle - half, middle + half", "wider bounds that are not", DRAWS),
        ("certify/bespoke/facts.py", "default=float(\"inf\")", "default=0.0", "wider starts without a solution hold",
         f"{T}/test_bespoke.py::test_where_it_stops_holding_is_the_last_factor_before_a_miss"),
        ("certify/bespoke/facts.py", "            break\n        reached", "            continue\n        reached", "a learned scheme that holds again further out",
         f"{T}/test_bespoke.py::test_where_it_stops_holding_is_the_last_factor_before_a_miss"),
    ],
)  # fmt: skip

PROOF: tuple[Fault, ...] = (
    *REFERENCES, *JUMPS, *SEARCHED, *CLAIMS, *CAUSES, *ENCLOSED, *NEAR_ZEROS, *OWN_STEPS, *SEALED, *LEARNED,
)  # fmt: skip

__all__ = ["PROOF"]
