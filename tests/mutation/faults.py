"""The faults: where a compiler of this kind goes wrong, written into its source one at a time.

Numbers of schemes, signs, dropped terms, grids off by one, wrong broadcasts, wrong rounding, references that lie,
checks that are skipped, values remembered too long.
"""

# ruff: noqa: E501 - what is replaced stands as it stands in the source
from __future__ import annotations

from tests.mutation.fault import Fault, area
from tests.mutation.faults_of_noise import NOISE
from tests.mutation.faults_of_proof import PROOF

COMPILER = "compiler/isocline_compiler"
RUNTIME = "runtime/isocline_runtime"
T = "tests/compiler"

TABLEAUX = area(
    f"{COMPILER}/solvers/schemes", "rk4", [f"{T}/test_schemes.py"],
    [
        ("explicit.py", "a=((),), b=(1,), c=(0,)", "a=((),), b=(Q(99, 100),), c=(0,)", "a weight of Euler's"),
        ("explicit.py", "a=((), (Q(1, 2),)), b=(0, 1), c=(0, Q(1, 2))", "a=((), (Q(1, 3),)), b=(0, 1), c=(0, Q(1, 2))",
         "a coefficient of the midpoint rule"),
        ("explicit.py", "b=(Q(1, 2), Q(1, 2)), c=(0, 1)", "b=(Q(1, 3), Q(2, 3)), c=(0, 1)", "weights of Heun's"),
        ("explicit.py", "b=(Q(1, 4), Q(3, 4)), c=(0, Q(2, 3))", "b=(Q(3, 4), Q(1, 4)), c=(0, Q(2, 3))",
         "weights of Ralston's second exchanged"),
        ("explicit.py", "a=((), (Q(1, 2),), (0, Q(3, 4))), b", "a=((), (Q(1, 2),), (Q(3, 4), 0)), b",
         "a row of Ralston's third shifted"),
        ("explicit.py", "b=(Q(1, 6), Q(1, 6), Q(2, 3))", "b=(Q(1, 6), Q(2, 3), Q(1, 6))", "weights of SSPRK3 in another order"),
        ("explicit.py", "a=((), (Q(1, 2),), (-1, 2))", "a=((), (Q(1, 2),), (1, 0))", "Kutta's third without its sign"),
        ("explicit.py", "embedded=(Q(7, 24), Q(1, 4), Q(1, 3), Q(1, 8))", "embedded=(Q(7, 24), Q(1, 3), Q(1, 4), Q(1, 8))",
         "the second weights of Bogacki and Shampine exchanged"),
        ("explicit.py", "b=(Q(1, 6), Q(1, 3), Q(1, 3), Q(1, 6))", "b=(Q(1, 6), Q(1, 6), Q(1, 2), Q(1, 6))",
         "weights of RK4 of the same sum and mean"),
        ("explicit.py", "a=((), (Q(1, 3),), (Q(-1, 3), 1), (1, -1, 1))", "a=((), (Q(1, 3),), (Q(-1, 3), 1), (1, 0, 0))",
         "a row of the 3/8 rule"),
        ("explicit.py", "Q(49, 176), Q(-5103, 18656)", "Q(49, 176), Q(5103, 18656)", "a sign of Dormand and Prince's fifth"),
        ("explicit.py", "2.8971530571054935", "2.8971530671054935", "a digit of Tsitouras'"),
        ("explicit.py", "Q(790204164, 839813087)", "Q(790204146, 839813087)", "two digits exchanged in the eighth order"),
        ("explicit.py", 'name="dopri5", order=5', 'name="dopri5", order=6', "an order that is not reached"),
        ("explicit.py", 'name="rk4", order=4', 'name="rk4", order=3', "an order said too low"),
        ("tableau.py", "self._require(failed is None, str(failed))", "self._require(True, str(failed))",
         "order conditions are not required"),
        ("tableau.py", "self._require(abs(total - node) <= TOLERANCE", "self._require(abs(total - node) <= 1",
         "row sums are not required"),
        ("trees.py", "return vertices(tree) * prod(map(density, tree))", "return prod(map(density, tree)) + 1",
         "a wrong density of trees"),
        ("trees.py", "        if abs(found - expected) > tolerance:\n            condition = f\"order {vertices", "        if found - expected > tolerance:\n            condition = f\"order {vertices",
         "an order condition that may fall short"),
    ],
)  # fmt: skip

STEPS = area(
    f"{COMPILER}/solvers/schemes", "rk4 dopri5 ralston3 times auto residual", [f"{T}/test_schemes.py"],
    [
        ("tableau.py", "field(step.time(float(tableau.c[i])), stage)", "field(step.t, stage)", "every stage at the step's begin"),
        ("tableau.py", "stage = _moved(x, combined(step.widths, tableau.a[i], slopes))", "stage = _moved(x, combined(step.widths, tableau.a[i][:1], slopes))",
         "stages see the first slope alone"),
        ("tableau.py", "combined(step.widths, tableau.b, runge", "combined(step.widths, tableau.b[:-1], runge",
         "the last weight dropped"),
        ("tableau.py", "_scaled(h * coefficient, slope)", "_scaled(h * abs(coefficient), slope)", "signs of coefficients lost"),
        ("tableau.py", "return h * _sum(", "return -1.0 * h * _sum(", "a step of given times goes back"),
        ("tableau.py", "return slope if coefficient == 1 else", "return slope if abs(coefficient) == 1 else", "-1 taken for 1"),
        ("tableau.py", "wanted = {i for i in range(self.stages) if self.b[i]}", "wanted = {i for i in range(self.stages) if self.b[i] > 0}",
         "stages of negative weight dropped"),
        ("step.py", "self.end if c == 1 else self.t + c * self.h", "self.end if c == 1 else self.t + c * c * self.h",
         "stage times squared"),
        ("step.py", "return self.end if c == 1", "return self.t if c == 1", "the last stage at the step's begin"),
        ("tableau.py", "np.asarray(1 + z * (slopes @ self.weights))", "np.asarray(1 - z * (slopes @ self.weights))",
         "a sign of the stability function", f"{T}/test_schemes.py", f"{T}/test_certify_stability.py"),
        ("tableau.py", "return self.stages > 1 and self.c[-1] == 1", "return self.stages > 1 and self.c[-1] != 1",
         "first-same-as-last said of others", f"{T}/test_schemes.py"),
    ],
)  # fmt: skip

GRIDS = area(
    f"{COMPILER}/solvers", "end uneven looped times times_looped residual auto",
    [f"{T}/test_grid.py", f"{T}/test_unroll.py", f"{T}/test_evaluation_by_hand.py"],
    [
        ("grid.py", "return [start + (end - start) * i / steps for i in range(steps)]",
         "return [start + (end - start) * i / (steps + 1) for i in range(steps)]", "nodes too near together"),
        ("grid.py", "widths += [(self.times[last] - self.times[first]) / (last - first)]",
         "widths += [(self.times[last] - self.times[first]) / (last - first + 1)]", "one step too many in a width"),
        ("grid.py", "        keep.append(len(nodes))", "        keep.append(len(nodes) - 1)", "outputs a step early"),
        ("grid.py", "replace(grid, keep=grid.keep[-1:])", "replace(grid, keep=grid.keep[-2:-1])", "the last output but one"),
        ("grid.py", "for time in (here, (here + there) / 2)]", "for time in (here, here + (there - here) / 3)]", "halved in three"),
        ("grid.py", "keep=tuple(2 * index for index in grid.keep)", "keep=tuple(index for index in grid.keep)",
         "halved grids keep early states"),
        ("grid.py", "return Discretisation(scheme, steps // count)", "return Discretisation(scheme, steps // count + 1)",
         "a substep that nobody asked for"),
        ("grid.py", "return Discretisation(choice.scheme, 2 * choice.grid, choice.segment)",
         "return Discretisation(choice.scheme, choice.grid, choice.segment)", "given times are not halved"),
        ("grid.py", "spare = steps - len(lengths)", "spare = steps - len(lengths) - 1", "a step fewer than asked for"),
        ("grid.py", "rounding = 4 * ulp(max(map(abs, times)))", "rounding = 1e15 * ulp(max(map(abs, times)))",
         "unequal steps taken for equal"),
        ("grid.py", "if signs not in ({1}, {-1}):", "if signs not in ({1}, {-1}, {0, 1}):", "times that stand still"),
    ],
)  # fmt: skip

UNROLLED = area(
    f"{COMPILER}/solvers/unroll", "uneven looped part times times_looped residual residual_looped auto",
    [f"{T}/test_unroll.py", f"{T}/test_loops.py"],
    [
        ("time_span.py", "h = (there - here) * (1 / substeps)", "h = (there - here) * (1 / (substeps + 1))", "substeps too short"),
        ("time_span.py", "for j in range(1, substeps)), there]", "for j in range(2, substeps)), there]", "a substep left out"),
        ("time_span.py", "key = stacked, row.index(i, self.count, depth)", "key = stacked, row.index(0, self.count, depth)",
         "every step reads the first row"),
        ("time_span.py", "key = stacked, row.index(i, self.count, depth)", "key = stacked, row.index(i // 2 * 2, self.count, depth)",
         "rows remembered for two steps"),
        ("time_span.py", "tuple(range(0, count + 1, choice.grid)))", "tuple(range(0, count + 1, choice.grid))[:-1] + (count - 1,))",
         "the last given time a step early"),
        ("time_span.py", "for i in range(first, self.count):", "for i in range(first, self.count - 1):", "the last step left out"),
        ("segments.py", "return self.first + np.arange(self.count)[:, None] * self.steps", "return np.arange(self.count)[:, None] * self.steps",
         "a loop begins at the first step again"),
        ("segments.py", "return self.first + self.count * self.steps", "return self.count * self.steps", "the end of a loop"),
        ("segments.py", "count=(self.travelled - first) // self.steps)", "count=(self.travelled - first) // self.steps + 1)",
         "a segment too many"),
        ("time_table.py", "index=j + 1) if self.ends is None", "index=j) if self.ends is None", "a step in a loop ends where it begins"),
        ("time_table.py", "same = len(set(grid.widths)) == 1", "same = True", "a loop takes all widths for the first"),
        ("time_table.py", "here, there = (SLICE(", "there, here = (SLICE(", "given times backwards in a loop"),
        ("loop.py", "if segments.period and ((j + 1) % segments.period == 0", "if segments.period and (j % segments.period == 0",
         "a loop keeps states a step early"),
        ("loop.py", "self._memory(going), self.segments.end)", "self._memory(going), self.segments.end - 1)", "what follows a loop repeats a step"),
        ("loop.py", "start = (period - first % period) // steps - 1", "start = (period - first % period) // steps", "the kept segments of a loop shifted"),
        ("loop.py", "enumerate(tail, segments.end + 1)", "enumerate(tail, segments.end)", "kept states after a loop"),
        ("loop.py", "earlier = self._by_state(self.start.path[:: segments.period])", "earlier = self._by_state(self.start.path[-1:])",
         "what stands before a loop"),
        ("laid_out.py", "kept = [path[i] for i in span.keep]", "kept = [path[max(i - 1, 0)] for i in span.keep]", "laid-out steps kept early"),
    ],
)  # fmt: skip

ROWS = area(
    f"{COMPILER}/graph", "residual residual_looped", [f"{T}/test_solve_record.py", f"{T}/test_unroll.py"],
    [
        ("solve.py", "return step if self.indexing", "return max(step - 1, 0) if self.indexing", "a row for each step, one late"),
        ("solve.py", "else (2 * i + 1) * depth // (2 * steps)", "else (2 * i + 2) * depth // (2 * steps + 1)", "rows by the end of a step"),
        ("solve.py", "= min(max(int(progress * depth), 0), depth - 1)", "= min(max(round(progress * depth), 0), depth - 1)",
         "rows of other solvers rounded"),
    ],
)  # fmt: skip

EMITTED = area(
    f"{COMPILER}/ops", "functions functions_double layers", [f"{T}/test_ops.py"],
    [
        ("wide.py", 'emitter.node("Div", emitter.node("Sin", x), emitter.node("Cos", x))',
         'emitter.node("Mul", emitter.node("Sin", x), emitter.node("Cos", x))', "a tangent that multiplies"),
        ("wide.py", 'return emitter.node("Mul", both, emitter.real(0.5))', "return both", "a hyperbolic cosine without its half"),
        ("wide.py", 'emitter.node("Sub", emitter.real(1.0), t))', 'emitter.node("Add", emitter.real(1.0), t))', "a sign of e^x - 1"),
        ("wide.py", 'emitter.node("Where", flat, x, ratio)', 'emitter.node("Where", flat, one, ratio)', "log(1 + x) for a tiny x"),
        ("wide.py", 'emitter.node("Mul", emitter.node("Sign", x), size)', "size", "an inverse hyperbolic sine without its sign"),
        ("activation.py", 'emitter.node("Add", error, emitter.real(1.0)), emitter.real(0.5))',
         'emitter.node("Add", error, emitter.real(1.0)), emitter.real(0.51))', "half of a gelu"),
        ("activation.py", 'emitter.node("Less", x, emitter.real(0.0)), slope, x)', 'emitter.node("Greater", x, emitter.real(0.0)), slope, x)',
         "a leaky rectifier turned round"),
        ("normalisation.py", 'result = emitter.node("Add", emitter.node("Log", total), top)', 'result = emitter.node("Log", total)',
         "logsumexp without its maximum"),
        ("normalisation.py", 'axis=node.attrs["axis"] % node.type.rank)', "axis=node.type.rank - 1)", "softmax along the last axis only"),
        ("normalisation.py", 'shift = emitter.node("Sub", beta,', 'shift = emitter.node("Add", beta,', "the shift of a batch norm"),
        ("normalisation.py", 'emitter.node("Add", var, emitter.real(node.attrs["eps"]))', 'emitter.node("Add", var, emitter.real(0.01))',
         "another eps in a batch norm"),
        ("linear.py", 'return emitter.node("Add", product, *b) if b else product', "return product", "a bias dropped"),
        ("comparison.py", 'return emitter.node("Where", condition, a, b)', 'return emitter.node("Where", condition, b, a)', "where turned round"),
        ("comparison.py", 'return emitter.node("Not", emitter.node("Equal", a, b))', 'return emitter.node("Equal", a, b)', "unequal as equal"),
        ("elementwise.py", '    "log",\n    "Log",', '    "log",\n    "Exp",', "another operator for log"),
        ("elementwise.py", '    "abs",\n    "Abs",', '    "abs",\n    "Neg",', "another operator for abs"),
        ("arithmetic.py", '"maximum", elementwise, "maximum", "Max"', '"maximum", elementwise, "maximum", "Min"', "max as min"),
        ("arithmetic.py", '    _torch_pow,\n    "Pow",', '    _torch_pow,\n    "Mul",', "powers as products"),
    ],
)  # fmt: skip

EMITTER = area(
    f"{COMPILER}/backends/to_onnx", "functions functions_double layers looped", [f"{T}/test_to_onnx.py", f"{T}/test_ops.py"],
    [
        ("emitter.py", "stored = np.ascontiguousarray(value, dtype=", 'stored = np.ascontiguousarray(np.asarray(value).astype("float16") if value.dtype.kind == "f" else value, dtype=',
         "literals rounded to sixteen bits"),
        ("emitter.py", "key = (sort, value)", 'key = (sort, round(value, 1) if sort == "real" else value)', "nearly equal numbers remembered as one"),
        ("emitter.py", "key = (stored.dtype.str, value.shape, stored.tobytes())", "key = (stored.dtype.str, value.shape, stored.tobytes()[:4])",
         "arrays remembered by their first entry"),
        ("emitter.py", "key = (operator, inputs, tuple(sorted(attrs.items())))", "key = (operator, tuple(sorted(attrs.items())))",
         "operators remembered without their inputs"),
    ],
)  # fmt: skip

RULES = area(
    f"{COMPILER}/ops", "explained explained_path", [f"{T}/test_ops.py", f"{T}/test_rules_by_hand.py", f"{T}/test_autodiff.py"],
    [
        ("elementwise.py", '(g * COS(x),),\n    "Sine."', '(g * SIN(x),),\n    "Sine."', "the derivative of sine"),
        ("elementwise.py", '(-g * SIN(x),),\n    "Cosine."', '(g * SIN(x),),\n    "Cosine."', "a sign in that of cosine"),
        ("elementwise.py", '(g * (1.0 - y * y),),\n    "Hyperbolic tangent."', '(g * (1.0 - y),),\n    "Hyperbolic tangent."', "the derivative of tanh"),
        ("elementwise.py", 'lambda g, y, x: (g * y,),\n    "e^x"', 'lambda g, y, x: (g * x,),\n    "e^x"', "the derivative of e^x"),
        ("elementwise.py", "(g * 0.5 / y,)", "(g / y,)", "a half in that of the root"),
        ("elementwise.py", '(g / x,),\n    "The natural logarithm."', '(g / y,),\n    "The natural logarithm."', "the derivative of log"),
        ("arithmetic.py", "sum_to(-g * y / b, b)", "sum_to(g * y / b, b)", "a sign in that of a quotient"),
        ("arithmetic.py", 'sum_to(g * a, b)), "a b"', 'sum_to(g * b, b)), "a b"', "the other factor of a product"),
        ("arithmetic.py", "left = sum_to(g * b * POW(a, b - 1.0), a)", "left = sum_to(g * b * POW(a, b), a)", "the exponent of a power"),
        ("arithmetic.py", '(sum_to(g, a), sum_to(-g, b))', '(sum_to(g, a), sum_to(g, b))', "a sign in that of a difference"),
        ("arithmetic.py", "sum_to(g * (1.0 - left), b)", "sum_to(g * left, b)", "the share of the smaller"),
        ("broadcasting.py", "if size == 1 and g.size(i) != 1)", "if size == 1 and g.size(i) != 1 and i)", "a broadcast first axis not summed"),
        ("broadcasting.py", "g = REDUCE_SUM(g, axes=tuple(range(lead)), keepdims=False)",
         "g = REDUCE_SUM(g, axes=tuple(range(lead)), keepdims=False) * 0.5", "half of what was broadcast"),
        ("linear.py", "sum_to(MATMUL(_swap(left), g), right)", "sum_to(MATMUL(_swap(left), g), right) * 2.0", "twice the gradient of a matrix"),
        ("linear.py", "to_x = LINEAR(g, w, transposed=True) if not transposed else LINEAR(g, w)", "to_x = LINEAR(g, w, transposed=True) * -1.0",
         "a sign in that of a dense layer"),
        ("normalisation.py", "(y * (g - REDUCE_SUM(g * y, axes=(axis,), keepdims=True)),)", "(y * g,)", "a term of softmax dropped"),
        ("normalisation.py", "EXP(x - RESHAPE(y, shape=kept))", "EXP(x)", "logsumexp not normalised"),
        ("activation.py", "(g * (s + y * (1.0 - s)),)", "(g * (s + (1.0 - s)),)", "the derivative of silu"),
        ("activation.py", "EXP(x * x * -0.5)", "EXP(x * x * 0.5)", "a sign in that of gelu"),
        ("activation.py", "x * (1.0 - t * t) * SIGMOID(x)", "x * (1.0 - t * t)", "a factor in that of mish"),
        ("activation.py", "lambda g, y, x: (g * (y * (1.0 - y)),)", "lambda g, y, x: (g * y,)", "the derivative of a sigmoid"),
        ("reduction.py", "(broadcast_like(_kept(g, x, axes) / _extent(x, axes), x),)", "(broadcast_like(_kept(g, x, axes), x),)",
         "a mean differentiated as a sum"),
        ("reduction.py", "slabs[count - 1 - i]", "slabs[i]", "the other factors of a product"),
        ("comparison.py", "sum_to(WHERE(condition, 0.0, g), b)", "sum_to(WHERE(condition, g, 0.0), b)", "the branch that was not taken"),
    ],
)  # fmt: skip

DERIVATIVES = area(
    f"{COMPILER}/derivatives", "explained explained_path explained_loop",
    [f"{T}/test_derivatives.py", f"{T}/test_autodiff.py", f"{T}/test_solve_record.py"],
    [
        ("reverse_forward.py", "sums[key] = sums[key] + part if key in sums else part", "sums[key] = part", "the last use counts alone"),
        ("reverse_forward.py", "if part is not None and item in depends:", "if part is not None and item in depends and item not in sums:",
         "the first use counts alone"),
        ("reverse_forward.py", "picked.setdefault(node.inputs[0], {}), node.attrs[\"index\"], sums[node]", "picked.setdefault(node.inputs[0], {}), 0, sums[node]",
         "every result of a loop taken for the first"),
        ("reverse_forward.py", "pick(together, count * (1 + i) + node.attrs[\"index\"])", "pick(together, count + node.attrs[\"index\"])",
         "every direction taken for the first"),
        ("of_loops.py", "last = [self.cotangents.get(i) or _zeros(given.initial[i]) for i in moving]", "last = [_zeros(given.initial[i]) for i in moving]",
         "the end of a loop forgotten"),
        ("of_loops.py", "total + part for total, part", "part for total, part", "sums over a loop: its last turn alone"),
        ("of_loops.py", "return SLICE(rows, axis=0, start=None, stop=None, step=-1)", "return SLICE(rows, axis=0, start=0, stop=None, step=1)",
         "a loop reversed in the wrong order"),
        ("of_solves.py", "taken + tangent.direction)", "taken)", "directions of tangents not told apart"),
        ("of_solves.py", "table.get((i, x)) for x in of) for i in range(directions)", "table.get((0, x)) for x in of) for i in range(directions)",
         "every direction varies along the first"),
    ],
)  # fmt: skip

PASSES = area(
    f"{COMPILER}/passes", "functions functions_double layers rk4 explained", [f"{T}/test_passes.py"],
    [
        ("simplify.py", "return b - a.inputs[0] if a.op is NEG else joined(node)", "return a.inputs[0] - b if a.op is NEG else joined(node)", "-a + b as a - b"),
        ("simplify.py", "        return -b\n    return a + b.inputs[0] if b.op is NEG else None", "        return b\n    return a + b.inputs[0] if b.op is NEG else None",
         "0 - b as b"),
        ("simplify.py", "if number == -1 and b.shape == node.shape:\n            return -b", "if number == -1 and b.shape == node.shape:\n            return b", "-1 b as b"),
        ("simplify.py", "        if number == 0:\n            return _zero_like(node)", "        if number is not None and abs(number) < 1e-3:\n            return _zero_like(node)",
         "a small factor taken for 0"),
        ("simplify.py", "return x * (1.0 / number)", "return x * number", "a division that multiplies"),
        ("simplify.py", "return x.inputs[1] - x.inputs[0] if x.op is SUB else None", "return x.inputs[0] - x.inputs[1] if x.op is SUB else None", "-(a - b) as a - b"),
        ("simplify.py", "return SQUARE(x) if number == 2 else None", "return SQUARE(x) if number == 3 else None", "a cube as a square"),
        ("simplify.py", "product = outer * inner", "product = outer + inner", "factors that add"),
        ("simplify.py", "return a if value.all() else b if not value.any() else None", "return b if value.all() else a if not value.any() else None",
         "a known condition turned round"),
        ("simplify.py", "return first if bool((value == first).all()) and not negative_zero", "return first if not negative_zero", "an array taken for its first entry"),
        ("simplify.py", "and not negative_zero else None", "else None", "the sign of a zero"),
        ("share.py", "if node.op.commutative:", "if len(arguments) == 2:", "a - b taken for b - a"),
        ("share.py", "return (value.dtype.str, value.shape, value.tobytes())", "return (value.dtype.str, value.shape)", "literals of one shape taken for one"),
        ("share.py", "return (node.op, tuple(arguments), attrs)", "return (node.op, tuple(arguments))", "equal up to attributes taken for equal"),
        ("share.py", 'return ("weight", node.attrs["name"])', 'return ("weight",)', "all weights taken for one"),
        ("fold.py", "return constant(result) if result is not None else node", 'return constant(result.astype("float16").astype(result.dtype)) if result is not None else node',
         "folded in sixteen bits"),
        ("fold.py", "return result if result.dtype.kind != \"f\" or bool(np.isfinite(result).all()) else None", "return result", "what is not finite is folded"),
        ("prune.py", "needed |= {i for i, state in enumerate(states) if state in reached}", "needed |= set()", "states that others need are dropped"),
    ],
)  # fmt: skip

WORDS = area(
    f"{COMPILER}/vocabulary", "trained layers functions", [f"{T}/test_functions_values.py"],
    [
        ("functions/losses.py", "inner * (error - 0.5 * inner)", "inner * (error - inner)", "a half of Huber's loss"),
        ("functions/losses.py", "average(SQUARE(difference(\"mse\", a, b)), scope)", "average(ABS(difference(\"mse\", a, b)), scope)", "squares forgotten"),
        ("functions/losses.py", "0.5 * square + LOG(deviation)", "0.5 * square", "a density that is not normalised"),
        ("functions/losses.py", "smoothing / classes", "smoothing", "smoothing not spread"),
        ("functions/metrics.py", "return SQRT(average(SQUARE(difference(\"rmse\", a, b)), scope))", "return average(SQUARE(difference(\"rmse\", a, b)), scope)",
         "a root forgotten"),
        ("functions/metrics.py", "return 1.0 - error / average(SQUARE(centred), scope)", "return 1.0 - error / average(SQUARE(observed), scope)", "r2 about zero"),
        ("functions/metrics.py", "100.0 * average(ABS(error / observed), scope)", "100.0 * ABS(average(error / observed, scope))", "signs cancel in a metric"),
        ("functions/activations.py", "CLIP(as_real(x), low=-1.0, high=1.0)", "CLIP(as_real(x), low=0.0, high=1.0)", "a bound of hard_tanh"),
        ("functions/activations.py", "LEAKY_RELU(as_real(x), alpha=slope)", "LEAKY_RELU(as_real(x), alpha=0.01)", "an option that is not heard"),
        ("distributions/real_line.py", "-0.5 * SQUARE(standardized(x, mean, std))", "-SQUARE(standardized(x, mean, std))", "a half of the normal", f"{T}/test_distributions.py"),
        ("distributions/real_line.py", "LOG(1.0 + square / freedom)", "LOG(1.0 + square)", "freedom forgotten", f"{T}/test_distributions.py"),
        ("distributions/real_line.py", "- math.log(2.0 * scale)", "- math.log(scale)", "Laplace not normalised", f"{T}/test_distributions.py"),
        ("bijections.py", "scaled = SIGMOID(w) * (high - low)", "scaled = SIGMOID(w) * high", "an interval too wide", f"{T}/test_bijections.py"),
        ("bijections.py", "lambda w: high - EXP(-w), inverse, ", "lambda w: high - EXP(w), inverse, ", "a bijection turned round", f"{T}/test_bijections.py"),
        ("bijections.py", "return EXP(w) + low if low else EXP(w)", "return EXP(w)", "a lower bound forgotten", f"{T}/test_bijections.py"),
    ],
)  # fmt: skip

CERTIFICATE = area(
    COMPILER, "auto trained", [f"{T}/test_certify_measures.py", f"{T}/test_certify_choose.py"],
    [
        ("certify/measures.py", "difference = np.abs(a - b).max(axis=1)", "difference = 0 * np.abs(a - b).max(axis=1)", "every error is 0"),
        ("certify/deployed.py", "[: samples.count] if batched[name]", "[:1] if batched[name]", "one sample measured"),
        ("certify/order.py", "self.observed >= self.declared - NEAR", "self.observed <= self.declared + NEAR", "an order too low is near enough"),
        ("certify/sweep.py", "return max(float(error) for error in _errors(evaluator, found, evaluator.reference, outputs))",
         "return min(float(error) for error in _errors(evaluator, found, evaluator.reference, outputs)) / 100", "the search believes too much", f"{T}/test_certify_choose.py::test_fewer_steps_of_the_scheme_that_is_taken_would_not_do"),
        ("certify/sweep.py", "MARGIN = 0.8", "MARGIN = 80", "a margin beyond the error", f"{T}/test_certify_choose.py::test_fewer_steps_of_the_scheme_that_is_taken_would_not_do"),
    ],
)  # fmt: skip

REQUIRED = area(
    COMPILER, "", [],
    [
        ("certify/measures.py", "difference = np.abs(a - b).max(axis=1)", "difference = np.abs(a - b).mean(axis=1)", "mean errors for the largest", f"{T}/test_certify_measures.py"),
        ("certify/measures.py", "scale = np.abs(b).max(axis=1)", "scale = np.abs(b).max(axis=1) * 0 + np.abs(b).max()", "one scale for all samples", f"{T}/test_certify_measures.py"),
        ("certify/measures.py", "np.where(np.isfinite(a).all(axis=1), errors, np.inf)", "np.where(np.isfinite(a).all(axis=1), errors, 0.0)",
         "what is not a number counts as exact", f"{T}/test_certify_measures.py"),
        ("certify/measures.py", "Spread(float(errors.max())", "Spread(float(np.median(errors))", "the median for the maximum", f"{T}/test_certify_measures.py"),
        ("certify/deployed.py", "spread(relative_errors(found[name], array,", "spread(relative_errors(array, array,", "a reference compared with itself", f"{T}/test_certificate_stops.py::test_steps_that_read_a_wrong_row_of_weights_stop_the_build"),
        ("certify/deployed.py", "if not result.holds", "if False", "checks of the author are not held", f"{T}/test_driver.py::test_a_missed_bound_stops_the_build_and_leaves_the_older_artifact"),
        ("certify/deployed.py", '">": operator.gt', '">": operator.lt', "a check turned round", f"{T}/test_certify_measures.py"),
        ("certify/prove.py", "if not item.maximum <= certificate.parity_bound", "if not item.maximum <= 1e9", "parity is not required", f"{T}/test_driver.py::test_a_missed_bound_stops_the_build_and_leaves_the_older_artifact"),
        ("certify/prove.py", "and self._is_bounded and not item.maximum <= certificate.stated_error", "and False", "the stated error is not required", f"{T}/test_driver.py::test_a_grid_that_has_not_converged_is_e601_and_e631"),
        ("certify/prove.py", "if item.differs and", "if False and", "orders are not required", f"{T}/test_certificate_stops.py::test_a_two_step_scheme_with_a_wrong_coefficient_stops_the_build"),
        ("certify/prove.py", "if not difference <= SAME", "if False", "the second walk is not required", f"{T}/test_certificate_stops.py::test_steps_that_read_a_wrong_row_of_weights_stop_the_build"),
        ("certify/order.py", "NEAR = 0.35", "NEAR = 35", "any order will do", f"{T}/test_certificate_stops.py::test_a_two_step_scheme_with_a_wrong_coefficient_stops_the_build"),
        ("certify/steppers.py", "SAME = 1e-9", "SAME = 1e9", "any two walks are the same", f"{T}/test_certificate_stops.py::test_steps_that_read_a_wrong_row_of_weights_stop_the_build"),
        ("certify/steppers.py", "each = count // (times.shape[-1] - 1)", "each = count // (times.shape[-1] - 1) + 1", "a second walk with other steps", f"{T}/test_certificate_stops.py::test_steps_that_read_a_wrong_row_of_weights_stop_the_build"),
        ("certify/reference.py", "FLOOR, CEILING = 1e-13, 1e-7", "FLOOR, CEILING = 1e-2, 1e-1", "a reference that is not exact", f"{T}/test_references.py"),
        ("certify/remembered.py", "if known is None or not _same(known[0], inputs):", "if known is None:", "a solution remembered for other inputs", f"{T}/test_evaluation_by_hand.py::test_a_remembered_reference_is_not_that_of_another_question"),
        ("certify/remembered.py", "decided = tuple(item for item in field.fixed if isinstance(item, Tensor))", "decided = ()", "a solution remembered for other weights", f"{T}/test_evaluation_by_hand.py::test_a_remembered_reference_is_not_that_of_another_question"),
        ("certify/samples.py", "DRAWN = 64", "DRAWN = 1", "one draw", f"{T}/test_worst.py::test_draws_are_uniform_within_the_bounds"),
        ("certify/samples.py", "values = generator.uniform(*port.bounds, shape)", "values = generator.uniform(*port.bounds, shape) * 0 + sum(port.bounds) / 2",
         "the middle of the bounds alone", f"{T}/test_worst.py::test_draws_are_uniform_within_the_bounds"),
        ("pipeline.py", "        require(model, proving.missed(certificate))\n", "", "nothing that was missed stops a build", f"{T}/test_certificate_stops.py::test_a_two_step_scheme_with_a_wrong_coefficient_stops_the_build"),
        ("pipeline.py", "            require(model, missed_attributions(model, proofs))\n", "", "no attribution stops a build", f"{T}/test_certificate_stops.py::test_a_wrong_derivative_rule_stops_the_build"),
    ],
)  # fmt: skip

TRAINING = area(
    f"{COMPILER}/training", "trained", ["tests/training/test_laplace.py"],
    [
        ("priors.py", "return 1 / (self.samples * self.entries)", "return 1 / self.entries", "a prior that counts for each sample"),
        ("priors.py", "return 2 * self.squares[0].weight", "return self.squares[0].weight", "half of a prior"),
        ("laplace.py", "/ (2 * self.squares * self.weight)", "/ (self.squares * self.weight)", "a factor of the variance"),
        ("laplace.py", "(self.residuals - fitted) /", "self.residuals /", "freedom of the fit forgotten"),
        ("laplace.py", "variance.sqrt().reshape", "variance.reshape", "variances for standard errors"),
        ("curvature.py", "value = scale * loss.total - loss.terms", "value = scale * loss.total + loss.terms", "a prior of the wrong sign"),
        ("curvature.py", "share = count / batches.count", "share = 1.0", "chunks not weighed"),
        ("statistics_fit.py", "np.sqrt(self.squares / self.count)", "np.sqrt(self.squares) / self.count", "a deviation", "tests/training/test_fit.py"),
        ("statistics_fit.py", "apart**2 * (self.count * other.count / count)", "apart * (self.count * other.count / count)", "chunks joined wrongly", "tests/training/test_fit.py"),
        ("schedules.py", "at[\"factor\"] ** (done // at[\"every\"])", "at[\"factor\"] ** (done / at[\"every\"])", "a schedule without steps", "tests/training/test_fit.py"),
    ],
)  # fmt: skip

DATA = area(
    f"{COMPILER}/data", "trained", ["tests/training/test_data.py", "tests/training/test_data_messages.py"],
    [
        ("splits.py", "_consecutive(np.arange(count), count - test - validation, validation, test)", "_consecutive(np.arange(count), count - test, validation, test)",
         "validation that was trained on"),
        ("splits.py", "np.sort(order[train + validation :])", "np.sort(order[train:])", "a test that validated"),
        ("splits.py", "begin >= boundary", "begin > boundary", "the first sample of a test lost"),
        ("splits.py", "upper = upper & (end < boundary)", "upper = upper & (begin < boundary)", "training that reaches into the test"),
        ("windows.py", "np.arange(past, rows - future + 1, stride)", "np.arange(past, rows - future, stride)", "the last window lost"),
        ("windows.py", "first = windows.present - length if form", "first = windows.present - length + 1 if form", "a past that sees the future"),
        ("columns.py", "last = np.maximum.accumulate(position)", "last = np.minimum.accumulate(position)", "the first value held"),
        ("columns.py", "left=np.nan, right=np.nan", "left=0.0, right=0.0", "ends invented"),
        ("columns.py", "return number_in(item)", "return float(item)", "1_000 read as a number"),
        ("dataset.py", "return self.test or self.validation or self.train", "return self.train", "measured on what was trained on"),
        ("dataset.py", "np.sort(order[:count]), np.sort(order[count:])", "np.sort(order[:count]), np.sort(order)", "validation that trains", "tests/training/test_data.py", "tests/training/test_fit.py"),
    ],
)  # fmt: skip

RUNNING = area(
    RUNTIME, "auto", ["tests/runtime/test_feeds.py", "tests/runtime/test_session.py", "tests/runtime/test_artifact.py", "tests/test_csv_dialect.py"],
    [
        ("feeds.py", "array > port.low", "array >= port.low", "a closed bound"),
        ("feeds.py", "(array >= 0) & (array < port.classes)", "(array >= 0) & (array <= port.classes)", "a class too many"),
        ("feeds.py", '    if port.dtype in ("int64", "bool"):\n        _check_whole(port, array)\n', "", "fractions cut to whole numbers"),
        ("feeds.py", "        _check_finite(port, array, np.isfinite(array), None)", "        pass", "inputs that are not numbers"),
        ("feeds.py", "if known != found[axis]:", "if False:", "sizes that disagree"),
        ("feeds.py", "raise messages.mixed_batch(without[0].name, having[0].name)", "return False", "a batch and a sample mixed"),
        ("session.py", "np.asarray(value)[0] if feed.single and port.batched", "np.asarray(value)[-1:] if feed.single and port.batched", "a batch axis left on"),
        ("session.py", "wrong = None if self._limits.allow_nonfinite else find_nonfinite(outputs)", "wrong = None", "answers that are not numbers"),
        ("artifact.py", "if digest != info.sha256:", "if False:", "a file that was altered"),
        ("artifact.py", "for name in sorted(there - manifest.files.keys() - {MANIFEST_FILE, SIGNATURE_FILE}):", "for name in ():", "a file that is not listed"),
        ("csv_text.py", 'if "_" in cell or not cell.isascii():', "if not cell.isascii():", "1_000 read as a number"),
        ("csv_text.py", "if len(cells) != len(columns):", "if len(cells) < len(columns):", "cells too many"),
        ("csv_text.py", "if column in columns[:position]:", "if False:", "two columns of one name"),
    ],
)  # fmt: skip

FAULTS: tuple[Fault, ...] = (
    *TABLEAUX, *STEPS, *GRIDS, *UNROLLED, *ROWS, *EMITTED, *EMITTER, *RULES, *DERIVATIVES, *PASSES, *WORDS,
    *CERTIFICATE, *REQUIRED, *TRAINING, *DATA, *RUNNING, *PROOF, *NOISE,
)  # fmt: skip

__all__ = ["FAULTS"]
