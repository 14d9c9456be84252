"""The example in every docstring is a program: it is parsed, typed and evaluated."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.vocabulary.distributions import DISTRIBUTIONS
from isocline_compiler.vocabulary.distributions.record import Distribution
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.functions.record import Function, example_declarations
from isocline_compiler.vocabulary.regularizers import REGULARIZERS
from isocline_compiler.vocabulary.regularizers.record import Regularizer
from isocline_dsl.diagnostics import IsoclineError, Source
from isocline_dsl.parse import parse
from tests.solves import unrolled


def program(example: str) -> str:
    """The example as the one output of a model that declares the names it uses."""
    return f"dyn 1\nmodel example\n{example_declarations(example)}\noutput result = {example}\n"


def typed(text: str) -> Model:
    source = Source(text)
    return lower(parse(source), source)


def arrays(model: Model) -> dict[str, torch.Tensor]:
    """Three samples of each input, and the first values of the weights."""
    torch.manual_seed(0)
    given: dict[str, torch.Tensor] = {}
    for port in model.inputs:
        shape = (3, *map(int, port.shape))
        given[port.name] = torch.arange(3) % 4 if port.kind == "class" else torch.rand(shape).double() * 0.9
    generator = np.random.default_rng(0)
    for weight in model.weights:
        given[weight.name] = torch.as_tensor(weight.initial(generator, weight.shape)).double()
    return given


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda item: item.name)
def test_the_example_is_a_program(function: Function) -> None:
    try:
        model = typed(program(function.example))
    except IsoclineError as mistake:
        pytest.fail(f"{program(function.example)}\n{mistake}")
    graph = unrolled(model.graph, lambda solve: discretisation(solve, "rk4", 4))
    result = TorchProgram(graph)(arrays(model))["result"]
    declared = tuple(3 if size == "batch" else size for size in model.graph.outputs["result"].shape)
    assert tuple(result.shape) == declared
    assert torch.isfinite(result.double()).all()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=lambda item: item.name)
def test_the_example_of_a_prior_is_a_declaration(distribution: Distribution) -> None:
    model = typed(f"dyn 1\nmodel example\n{distribution.example}\ninput x: real\noutput result = k*x\n")
    (parameter,) = model.parameters
    numbers = [float(item) for item in re.findall(r"[0-9.]+", distribution.example.partition("~")[2])]
    assert parameter.bounds == distribution.support(numbers)
    assert parameter.log_prior is not None
    assert str(parameter.log_prior.type) == "real"


@pytest.mark.parametrize("regularizer", REGULARIZERS.values(), ids=lambda item: item.name)
def test_the_example_of_a_regularizer_is_a_setting(regularizer: Regularizer) -> None:
    if "prior" in regularizer.example:
        return  # of two fields with noise: tried among the losses of paths
    model = typed(f"""dyn 1
        model example
        input x: real[2]
        target y: real[2]
        field populations(t, h: real[2]) {{ h' = h |> dense(2) |> tanh }}
        field block(t, h: real[2]) weights per step {{ h' = h |> dense(2) |> tanh }}
        deep = solve block from h = x over 0..1 with euler(steps=4)
        output result = solve populations from h = deep over 0..1
        train {{ loss mse(result, y); regularize {regularizer.example}; solver tsit5(steps=2) }}
        """)
    assert model.training is not None
    terms = set(model.training.losses.outputs)
    assert (model.training.steer == 0.25) if regularizer.name == "steer" else (len(terms) > 2), terms
