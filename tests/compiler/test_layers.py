"""Layers against torch.nn, with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from isocline_compiler.vocabulary.functions.kinds import WordCall
from tests.compiler.workbench import Workbench


def near(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 4), (5, 2, 4)])
def test_dense(shape: tuple[int, ...]) -> None:
    bench = Workbench()
    x = bench.normal(*shape)
    y = bench.build("dense", x, 3, bias_init=WordCall("normal", (1.0,)))
    near(bench(y), F.linear(bench.of(x), bench.stored("weight").T, bench.stored("bias")))


def test_dense_without_bias_or_batch() -> None:
    bench = Workbench()
    x = bench.normal(4, batched=False)
    near(bench(bench.build("dense", x, 3, bias=False)), bench.of(x) @ bench.stored("weight"))
    assert sum(key.startswith("layer") for key in bench.values) == 1


def test_forms_of_a_weight_hold_by_construction() -> None:
    bench = Workbench()
    x = bench.input(np.eye(6))
    matrix = {}
    for form in ("antisymmetric", "symmetric", "negative_definite"):
        word = WordCall(form, (), ()) if form == "symmetric" else WordCall(form, (), (("damping", 0.3),))
        matrix[form] = bench(bench.build("dense", x, 6, bias=False, weight=word)).numpy()
    near(torch.as_tensor(np.linalg.eigvals(matrix["antisymmetric"]).real), torch.full((6,), -0.3, dtype=torch.float64))
    near(torch.as_tensor(matrix["symmetric"]), torch.as_tensor(matrix["symmetric"].T.copy()))
    assert (np.linalg.eigvalsh(matrix["negative_definite"]) <= -0.3 + 1e-12).all()


INITIALIZERS = {
    "glorot": torch.nn.init.xavier_uniform_,
    "he": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "lecun": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="linear"),
}


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("layer", ["dense", "conv"])
def test_first_weights_have_the_spread_of_torch(name: str, layer: str) -> None:
    bench = Workbench()
    torch.manual_seed(0)
    if layer == "dense":
        bench.build("dense", bench.normal(1, 300), 200, init=name)
        reference = INITIALIZERS[name](torch.empty(200, 300))
    else:
        bench.build("conv", bench.normal(1, 40, 9, 9), 60, kernel=5, init=name)
        reference = INITIALIZERS[name](torch.empty(60, 40, 5, 5))
    drawn = bench.stored("weight")
    assert abs(drawn.mean()) < 0.01 * drawn.std() * 3
    assert drawn.std() == pytest.approx(reference.std().item(), rel=0.02)
    assert drawn.abs().max() == pytest.approx(reference.abs().max().item(), rel=0.01 if name == "glorot" else 0.25)


@pytest.mark.parametrize("units", [3, 5, 8])
def test_orthogonal_weights(units: int) -> None:
    bench = Workbench()
    bench.build("dense", bench.normal(1, 5), units, init="orthogonal")
    w = bench.stored("weight").numpy()
    product = w @ w.T if units >= 5 else w.T @ w
    np.testing.assert_allclose(product, np.eye(min(5, units)), atol=1e-12)


def test_embedding() -> None:
    bench = Workbench()
    labels = bench.input(np.array([[0, 2], [1, 2], [2, 2]]))
    near(bench(bench.build("embedding", labels, 3, 4)), F.embedding(bench.of(labels), bench.stored("weight")))


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"kernel": 2, "stride": 2, "pad": 1},
    {"kernel": 3, "dilation": 2, "pad": 2, "groups": 2},
    {"kernel": 3, "bias": False},
]


def torch_options(options: dict[str, Any]) -> dict[str, Any]:
    names = {"pad": "padding", "output_pad": "output_padding"}
    return {names.get(key, key): value for key, value in options.items() if key not in ("kernel", "bias")}


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("dims", [1, 2])
def test_conv(options: dict[str, Any], dims: int) -> None:
    bench = Workbench()
    x = bench.normal(3, 4, *(7, 8)[:dims])
    y = bench.build("conv", x, 6, bias_init=WordCall("normal", (1.0,)), **options)
    bias = bench.stored("bias") if options.get("bias", True) else None
    reference = (F.conv1d, F.conv2d)[dims - 1]
    near(bench(y), reference(bench.of(x), bench.stored("weight"), bias, **torch_options(options)))


def test_conv_with_a_setting_for_each_axis_and_without_a_batch() -> None:
    bench = Workbench()
    x = bench.normal(4, 7, 8, batched=False)
    y = bench.build("conv", x, 6, kernel=[3, 2], stride=[2, 1], pad=[1, 0])
    weights = (bench.stored("weight"), bench.stored("bias"))
    near(bench(y), F.conv2d(bench.of(x), *weights, stride=(2, 1), padding=(1, 0)))


@pytest.mark.parametrize(
    "options", [{}, {"kernel": 4, "stride": 2, "pad": 1}, {"stride": 2, "output_pad": 1, "groups": 2}]
)
@pytest.mark.parametrize("dims", [1, 2])
def test_conv_transpose(options: dict[str, Any], dims: int) -> None:
    bench = Workbench()
    x = bench.normal(3, 4, *(5, 6)[:dims])
    y = bench.build("conv_transpose", x, 6, **options)
    reference = (F.conv_transpose1d, F.conv_transpose2d)[dims - 1]
    near(bench(y), reference(bench.of(x), bench.stored("weight"), bench.stored("bias"), **torch_options(options)))


@pytest.mark.parametrize("dims", [1, 2])
def test_pooling(dims: int) -> None:
    bench = Workbench()
    x = bench.normal(3, 4, *(7, 8)[:dims])
    largest, mean = ((F.max_pool1d, F.avg_pool1d), (F.max_pool2d, F.avg_pool2d))[dims - 1]
    near(bench(bench.build("maxpool", x)), largest(bench.of(x), 2))
    near(bench(bench.build("maxpool", x, 3, 1, 1)), largest(bench.of(x), 3, 1, 1))
    near(bench(bench.build("meanpool", x, 3, 2, 1)), mean(bench.of(x), 3, 2, 1))
    near(bench(bench.build("globalpool", x)), bench.of(x).flatten(2).mean(2))
    near(bench(bench.build("globalpool", x, kind="max")), bench.of(x).flatten(2).amax(2))


@pytest.mark.parametrize("shape", [(3, 6), (3, 6, 5), (3, 6, 4, 5)])
def test_groupnorm(shape: tuple[int, ...]) -> None:
    bench = Workbench()
    x = bench.normal(*shape)
    y = bench.build("groupnorm", x, 3)
    for name in ("scale", "bias"):
        bench.replace(name, bench.generator.normal(size=6))
    near(bench(y), F.group_norm(bench.of(x), 3, bench.stored("scale"), bench.stored("bias"), 1e-5))


def test_layernorm() -> None:
    bench = Workbench()
    x = bench.normal(3, 4, 5)
    y = bench.build("layernorm", x, eps=1e-3)
    for name in ("scale", "bias"):
        bench.replace(name, bench.generator.normal(size=5))
    near(bench(y), F.layer_norm(bench.of(x), (5,), bench.stored("scale"), bench.stored("bias"), 1e-3))
    near(bench(bench.build("layernorm", x, axes=[0, 1], affine=False)), F.layer_norm(bench.of(x), (4, 5)))


@pytest.mark.parametrize("training", [False, True])
def test_batchnorm(training: bool) -> None:
    bench = Workbench()
    x = bench.normal(6, 3, 4, 5)
    y = bench.build("batchnorm", x)
    bench.replace("mean", bench.generator.normal(size=3))
    bench.replace("variance", bench.generator.uniform(0.5, 2, 3))
    names = ("mean", "variance", "scale", "bias")
    stored = [bench.stored(name).clone() for name in names]
    near(bench(y, training), F.batch_norm(bench.of(x), *stored, training=training))
    assert bench.roles == {"scale": "trained", "bias": "trained", "mean": "running", "variance": "running"}


@pytest.mark.parametrize("keep", [(), (0,), (0, 2), (1,)])
def test_standardize_and_back(keep: tuple[int, ...]) -> None:
    bench = Workbench()
    x = bench.input(5 + 3 * bench.generator.normal(size=(50, 2, 3, 4)))
    y = bench.build("standardize", x, keep=keep)
    others = [0, *(i + 1 for i in range(3) if i not in keep)]
    value = bench(y)
    torch.testing.assert_close(
        value.mean(others).abs().max(), torch.tensor(0.0, dtype=torch.float64), atol=1e-12, rtol=0
    )
    torch.testing.assert_close(value.std(others, correction=0), torch.ones_like(value.std(others)), atol=1e-12, rtol=0)
    near(bench(bench.build("unstandardize", y, x, keep=keep)), bench.of(x))


def test_unstandardize_to_the_units_of_another_shape() -> None:
    bench = Workbench()
    load, forecast = bench.normal(9, 168), bench.normal(9, 24, 1)
    y = bench.build("unstandardize", forecast, load)
    values = bench.of(load)
    near(bench(y), bench.of(forecast) * values.std(correction=0) + values.mean())


RECURRENT = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def copied(bench: Workbench, module: Any, suffix: str) -> None:
    """Give the bench the module's weights: torch keeps gates along the first axis."""
    names = {
        "input_weight": "weight_ih",
        "hidden_weight": "weight_hh",
        "input_bias": "bias_ih",
        "hidden_bias": "bias_hh",
    }
    for ours, theirs in names.items():
        value = getattr(module, theirs + suffix).detach()
        bench.replace(ours, value.T if value.ndim == 2 else value)


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("inputs", [None, 3])
def test_recurrent_layers_agree_with_torch(name: str, inputs: int | None) -> None:
    bench = Workbench()
    torch.manual_seed(1)
    module = RECURRENT[name](inputs or 1, 5, batch_first=True).double()
    x = bench.normal(4, 7, *(() if inputs is None else (inputs,)))
    last = bench.build(name, x, 5)
    copied(bench, module, "_l0")
    series = bench.of(x)
    every, _ = module(series[..., None] if inputs is None else series)
    near(bench(last), every[:, -1])


@pytest.mark.parametrize("name", RECURRENT)
def test_all_hidden_states(name: str) -> None:
    bench = Workbench()
    module = RECURRENT[name](3, 5, batch_first=True).double()
    x = bench.normal(4, 7, 3)
    every = bench.build(name, x, 5, sequence=True)
    copied(bench, module, "_l0")
    near(bench(every), module(bench.of(x))[0])


def test_a_recurrence_without_a_batch() -> None:
    bench = Workbench()
    module = torch.nn.GRU(3, 5).double()
    x = bench.normal(7, 3, batched=False)
    h = bench.build("gru", x, 5)
    copied(bench, module, "_l0")
    near(bench(h), module(bench.of(x))[0][-1])


def test_rnn_cell() -> None:
    bench = Workbench()
    module = torch.nn.RNNCell(3, 5).double()
    h, x = bench.normal(4, 5), bench.normal(4, 3)
    y = bench.build("rnn_cell", h, x)
    copied(bench, module, "")
    near(bench(y), module(bench.of(x), bench.of(h)))


def test_gru_cell() -> None:
    bench = Workbench()
    module = torch.nn.GRUCell(3, 5).double()
    h, x = bench.normal(4, 5), bench.normal(4, 3)
    y = bench.build("gru_cell", h, x)
    copied(bench, module, "")
    near(bench(y), module(bench.of(x), bench.of(h)))


def test_lstm_cell() -> None:
    bench = Workbench()
    module = torch.nn.LSTMCell(3, 5).double()
    state, x = bench.normal(4, 10), bench.normal(4, 3)
    y = bench.build("lstm_cell", state, x)
    copied(bench, module, "")
    hidden, memory = bench.of(state).split(5, 1)
    near(bench(y), torch.cat(module(bench.of(x), (hidden, memory)), 1))
