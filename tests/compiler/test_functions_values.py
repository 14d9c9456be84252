"""What the functions compute, against numpy, scipy and torch, for batched and unbatched operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
import torch.nn.functional as F

from isocline_compiler.derivatives.reverse_forward import pull_back
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.functions.broadcasting import align
from tests.compiler.workbench import Workbench

UNIT = (-0.95, 0.95)
LINE = (-3.0, 3.0)
ENTRY_BY_ENTRY: dict[str, tuple[Callable[..., Any], tuple[float, float]]] = {
    "exp": (np.exp, LINE), "log": (np.log, (0.1, 4)),
    "expm1": (np.expm1, (-1e-9, 1e-9)), "log1p": (np.log1p, (-1e-9, 1e-9)),
    "exprel": (scipy.special.exprel, LINE),
    "log2": (np.log2, (0.1, 4)), "log10": (np.log10, (0.1, 4)), "sqrt": (np.sqrt, (0, 4)), "square": (np.square, LINE),
    "abs": (np.abs, LINE), "sign": (np.sign, LINE), "floor": (np.floor, LINE), "ceil": (np.ceil, LINE),
    "round": (np.round, LINE), "erf": (scipy.special.erf, LINE), "sin": (np.sin, LINE), "cos": (np.cos, LINE),
    "tan": (np.tan, UNIT), "asin": (np.arcsin, UNIT), "acos": (np.arccos, UNIT), "atan": (np.arctan, LINE),
    "sinh": (np.sinh, LINE), "cosh": (np.cosh, LINE), "tanh": (np.tanh, LINE), "asinh": (np.arcsinh, LINE),
    "acosh": (np.arccosh, (1.1, 4)), "atanh": (np.arctanh, UNIT), "sigmoid": (scipy.special.expit, LINE),
    "softplus": (lambda x: np.logaddexp(x, 0), LINE), "relu": (lambda x: np.maximum(x, 0), LINE),
}  # fmt: skip
ACTIVATIONS = {
    "leaky_relu": F.leaky_relu, "elu": F.elu, "selu": F.selu, "gelu": F.gelu, "silu": F.silu, "swish": F.silu,
    "mish": F.mish, "hard_tanh": F.hardtanh, "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1), "logsumexp": lambda x: torch.logsumexp(x, -1),
}  # fmt: skip


def near(found: torch.Tensor, expected: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(found.numpy(), np.asarray(expected), rtol=rtol, atol=1e-14)


@pytest.mark.parametrize("name", ENTRY_BY_ENTRY)
def test_entry_by_entry(name: str) -> None:
    reference, (low, high) = ENTRY_BY_ENTRY[name]
    bench = Workbench()
    x = bench.input(bench.generator.uniform(low, high, (5, 3)))
    # precise even where expm1 and log1p are near 0, hence no absolute tolerance
    np.testing.assert_allclose(bench(bench.build(name, x)).numpy(), reference(bench.of(x).numpy()), rtol=1e-12)


def test_exprel_is_precise_around_zero_and_so_is_its_derivative() -> None:
    """sum x^k/(k + 1)! and sum (k + 1) x^k/(k + 2)!, of terms of one sign or nearly so."""
    points = np.array([-700, -30, -1.0000001, -1, -0.3, -1e-9, 0, 1e-9, 0.5, 0.9999999, 1, 30])
    bench = Workbench()
    x = bench.input(points[:, None])
    np.testing.assert_allclose(bench(bench.build("exprel", x))[:, 0].numpy(), scipy.special.exprel(points), rtol=1e-13)
    inside = np.abs(points) <= 1
    terms = [(k + 1) * points[inside] ** k / scipy.special.factorial(k + 2) for k in range(25)]
    value = bench.build("exprel", x)
    (slope,) = pull_back([value], [bench.input(np.ones((len(points), 1)))], [x])
    assert slope is not None
    np.testing.assert_allclose(bench(slope)[inside, 0].numpy(), np.sum(terms, axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_with_torch(name: str) -> None:
    bench = Workbench()
    x = bench.normal(5, 3)
    near(bench(bench.build(name, x)), ACTIVATIONS[name](bench.of(x)))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("leaky_relu", {"slope": 0.3}, lambda x: torch.nn.functional.leaky_relu(x, 0.3)),
        ("elu", {"alpha": 0.7}, lambda x: torch.nn.functional.elu(x, 0.7)),
        ("softmax", {"axis": 0}, lambda x: torch.softmax(x, 1)),
        ("log_softmax", {"axis": 0}, lambda x: torch.log_softmax(x, 1)),
    ],
    ids=["leaky_relu", "elu", "softmax", "log_softmax"],
)
def test_options_of_activations_are_heard(name: str, options: Any, expected: Any) -> None:
    bench = Workbench()
    x = bench.normal(5, 3, 2)
    near(bench(bench.build(name, x, **options)), expected(bench.of(x)))


def test_truths_become_numbers() -> None:
    bench = Workbench()
    near(bench(bench.build("mean", bench.input([[True, False], [True, True]]))), [0.5, 1.0])


def test_clip_and_where() -> None:
    bench = Workbench()
    x, y = bench.normal(5, 3), bench.normal(3, batched=False)
    near(bench(bench.build("clip", x, -0.5, 0.25)), np.clip(bench.of(x).numpy(), -0.5, 0.25))
    flag = bench.input(np.arange(5) % 2 == 0)
    expected = np.where(np.arange(5)[:, None] % 2 == 0, bench.of(x), bench.of(y))
    near(bench(bench.build("where", flag, x, y)), expected)


SHAPES = [((3,), (3,)), ((3,), (2, 3)), ((2, 3), (3,)), ((), (5,)), ((5, 1), (5,)), ((5,), (5, 5))]


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("batched", [(True, True), (True, False), (False, True), (False, False)])
def test_samples_broadcast_and_the_batch_stays_apart(
    left: tuple[int, ...], right: tuple[int, ...], batched: tuple[bool, bool]
) -> None:
    """The batch has 5 samples, a size that occurs among the axes too."""
    bench = Workbench()
    pair = [
        bench.normal(*(5,) * has_batch, *shape, batched=has_batch)
        for shape, has_batch in zip((left, right), batched, strict=True)
    ]
    a, b = align(*pair)
    rows = [[bench.of(node)[i] if node.type.batched else bench.of(node) for node in pair] for i in range(5)]
    expected = torch.stack([x - y for x, y in rows]) if any(batched) else rows[0][0] - rows[0][1]
    near(bench(a - b), expected)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum, "mean": np.mean, "prod": np.prod, "max": np.max, "min": np.min, "var": np.var, "std": np.std,
    "norm": lambda x, axis=None, keepdims=False: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
}  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_count_axes_in_a_sample(name: str) -> None:
    bench = Workbench()
    x = bench.normal(5, 2, 3)
    whole = Workbench(whole_split=True, beside=bench)
    array, reference = bench.of(x).numpy(), REDUCTIONS[name]
    near(bench(bench.build(name, x)), [reference(row) for row in array])
    near(bench(bench.build(name, x, axis=-1)), reference(array, axis=2))
    near(bench(bench.build(name, x, axes=[0, 1], keep=True)), reference(array, axis=(1, 2), keepdims=True))
    near(whole(whole.build(name, x)), reference(array))
    near(whole(whole.build(name, x, axis=0)), reference(array, axis=1))
    near(bench(bench.build(name, bench.input(array[0], batched=False))), reference(array[0]))


def test_max_and_min_of_several() -> None:
    bench = Workbench()
    x, y = bench.normal(5, 3), bench.normal(3, batched=False)
    near(bench(bench.build("max", x, y, 0)), np.maximum(np.maximum(bench.of(x).numpy(), bench.of(y).numpy()), 0))
    near(bench(bench.build("min", y, x)), np.minimum(bench.of(x).numpy(), bench.of(y).numpy()))


def test_argmax_cumsum_dot_outer() -> None:
    bench = Workbench()
    x, y = bench.normal(5, 2, 3), bench.normal(3, batched=False)
    array, row = bench.of(x).numpy(), bench.of(y).numpy()
    near(bench(bench.build("argmax", x, axis=0)), array.argmax(1))
    near(bench(bench.build("cumsum", x, axis=0)), array.cumsum(1))
    near(bench(bench.build("dot", x, y)), array @ row)
    near(bench(bench.build("outer", x, y)), array[..., None] * row)


def test_joining() -> None:
    bench = Workbench()
    x, y, t = bench.normal(5, 3), bench.normal(3, batched=False), bench.normal(5)
    a, b, c = (bench.of(item).numpy() for item in (x, y, t))
    rows = np.broadcast_to(b, (5, 3))
    near(bench(bench.build("concat", x, y, t, 1)), np.concatenate([a, rows, c[:, None], np.ones((5, 1))], 1))
    near(bench(bench.build("stack", x, y)), np.stack([a, rows], 1))
    near(bench(bench.build("stack", x, y, axis=-1)), np.stack([a, rows], 2))
    near(bench(bench.build("stack", y, y, axis=1)), np.stack([b, b], 1))
    near(bench(bench.build("repeat", x, 2)), np.tile(a, (1, 2)))


def test_rearranging() -> None:
    bench = Workbench()
    x = bench.normal(5, 2, 6)
    a = bench.of(x).numpy()
    near(bench(bench.build("reshape", x, 3, -1)), a.reshape(5, 3, 4))
    near(bench(bench.build("flatten", x)), a.reshape(5, 12))
    near(bench(bench.build("transpose", x)), a.transpose(0, 2, 1))
    near(bench(bench.build("transpose", bench.input(a, batched=False), 2, 0, 1)), a.transpose(2, 0, 1))
    near(bench(bench.build("reverse", x, axis=1)), a[:, :, ::-1])
    near(bench(bench.build("unsqueeze", x, 1)), a[:, :, None])
    near(bench(bench.build("squeeze", bench.build("unsqueeze", x, -1))), a)
    near(bench(bench.build("broadcast_to", x, 4, 2, 6)), np.broadcast_to(a[:, None], (5, 4, 2, 6)))
    near(bench(bench.build("pad", x, 3)), np.pad(a, ((0, 0), (0, 0), (0, 3))))
    near(bench(bench.build("pad", x, 1, 2, axis=0, value=7)), np.pad(a, ((0, 0), (2, 1), (0, 0)), constant_values=7))


def test_constants() -> None:
    bench = Workbench()
    near(bench(bench.build("zeros", 2, 3)), np.zeros((2, 3)))
    near(bench(bench.build("ones", 2)), np.ones(2))
    near(bench(bench.build("full", 0.5)), 0.5)
    near(bench(bench.build("range", 3)), [0, 1, 2])
    near(bench(bench.build("range", -1, 2)), [-1, 0, 1])
    near(bench(bench.build("linspace", 0, 1, 5)), np.linspace(0, 1, 5))
    near(bench(bench.build("one_hot", bench.input([2, 0]), 3)), np.eye(3)[[2, 0]])


def losses() -> dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
    return {
        "mse": F.mse_loss,
        "mae": F.l1_loss,
        "huber": lambda a, b: F.huber_loss(a, b, delta=0.7),
        "rmse": lambda a, b: F.mse_loss(a, b).sqrt(),
        "relative_rmse": lambda a, b: (a - b).norm() / b.norm(),
        "relative_error": lambda a, b: (a - b).abs().max() / b.abs().max(),
    }


@pytest.mark.parametrize("name", losses())
def test_losses_are_per_sample_and_checks_are_of_the_split(name: str) -> None:
    bench = Workbench()
    a, b = bench.normal(5, 2, 3), bench.normal(5, 2, 3)
    whole = Workbench(whole_split=True, beside=bench)
    options = {"delta": 0.7} if name == "huber" else {}
    reference = losses()[name]
    rows = zip(bench.of(a), bench.of(b), strict=True)
    near(bench(bench.build(name, a, b, **options)), [reference(x, y) for x, y in rows])
    near(whole(whole.build(name, a, b, **options)), reference(bench.of(a), bench.of(b)))


def test_scores_agree_with_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, mean_absolute_percentage_error, r2_score

    bench = Workbench(whole_split=True)
    a, b = bench.normal(40, 3), bench.normal(40, 3)
    label = bench.input(np.arange(40) % 3)
    found, observed = bench.of(a).numpy(), bench.of(b).numpy()
    near(bench(bench.build("mape", a, b)), 100 * mean_absolute_percentage_error(observed, found))
    near(bench(bench.build("r2", a, b)), r2_score(observed.ravel(), found.ravel()))
    near(bench(bench.build("accuracy", a, label)), accuracy_score(np.arange(40) % 3, found.argmax(1)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing: float) -> None:
    bench = Workbench()
    scores, label = bench.normal(6, 4), bench.input(np.arange(6) % 4)
    expected = F.cross_entropy(bench.of(scores), bench.of(label), reduction="none", label_smoothing=smoothing)
    near(bench(bench.build("cross_entropy", scores, label, smoothing)), expected)
    many, labels = bench.normal(6, 5, 4), bench.input(np.arange(30).reshape(6, 5) % 4)
    rows = zip(bench.of(many), bench.of(labels), strict=True)
    expected = torch.stack([F.cross_entropy(x, y, label_smoothing=smoothing) for x, y in rows])
    near(bench(bench.build("cross_entropy", many, labels, smoothing)), expected)


def test_gaussian_nll() -> None:
    bench = Workbench(whole_split=True)
    mean, observed = bench.normal(6, 4), bench.normal(6, 4)
    std = bench.input(bench.generator.uniform(0.5, 2, 4), batched=False)
    normal = torch.distributions.Normal(bench.of(mean), bench.of(std))
    near(bench(bench.build("gaussian_nll", mean, observed, std)), -normal.log_prob(bench.of(observed)).mean())


def test_a_constant_may_stand_beside_an_array() -> None:
    bench = Workbench()
    x = bench.normal(4, 3)
    near(bench(bench.build("mse", x, 1.0)), ((bench.of(x) - 1) ** 2).mean(1))


def test_the_table_holds_every_name_of_the_language_once() -> None:
    kinds = {item.kind for item in FUNCTIONS.values()}
    assert kinds == {"elementwise", "reduction", "shaping", "matrix", "layer", "derivative", "loss", "metric"}
