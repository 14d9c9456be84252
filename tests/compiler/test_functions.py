"""The records: what a signature says of a call, and how mistakes are put into words."""

from __future__ import annotations

import pytest

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.naming import by_name
from isocline_compiler.graph.text_form import to_text
from isocline_compiler.lower.check import model
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_compiler.vocabulary.functions.record import Function, bind, call
from isocline_dsl.diagnostics import IsoclineError
from tests.compiler.workbench import Workbench


def fault(function: str, *positional: object, **keywords: object) -> str:
    """The code and the text of the mistake in a call."""
    with pytest.raises(Fault) as caught:
        call(FUNCTIONS[function], positional, keywords.items(), Workbench())
    found = caught.value.make(None)
    return f"{found.code}: {found.message}" + (f" ({found.hint})" if found.hint else "")


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda item: item.name)
def test_every_function_is_documented(function: Function) -> None:
    assert function.summary.endswith((".", ":"))
    assert function.example
    assert function.name in function.example
    assert function.parameters


def test_the_usage_shows_defaults_in_the_words_of_the_language() -> None:
    assert FUNCTIONS["dense"].usage.startswith("dense(x, units, bias=true, init=glorot")
    assert FUNCTIONS["concat"].usage == "concat(x, others..., axis=0)"
    assert FUNCTIONS["sum"].name == "sum"


def test_a_name_that_is_taken_raises() -> None:
    with pytest.raises(ValueError, match="dense"):
        by_name(FUNCTIONS["dense"], FUNCTIONS["dense"])


def test_binding_does_not_evaluate() -> None:
    pairs = bind(FUNCTIONS["dense"], ["x", "16"], [("init", "zeros")])
    assert [(parameter.name, parameter.kind.name, given) for parameter, given in pairs] == [
        ("x", "value", "x"),
        ("units", "count", "16"),
        ("init", "word", "zeros"),
    ]


def test_variadic_arguments_take_what_is_left() -> None:
    pairs = bind(FUNCTIONS["max"], ["a", "b", "c"], [])
    assert [parameter.name for parameter, _ in pairs] == ["x", "others", "others"]


def test_mistakes_in_arguments() -> None:
    x = Workbench().normal(2, 4)
    assert fault("dense", x, 16, bais=False) == "E280: `dense` has no argument `bais` (did you mean `bias`?)"
    assert fault("tanh", x, x) == "E281: `tanh` takes 1 argument, found 2 (usage: tanh(x))"
    assert fault("dense", x).startswith("E282: `dense` needs the argument `units`")
    assert fault("dense", x, 16, units=16).startswith("E283: `units` of `dense` is given twice")
    assert fault("dense", x, 2.5) == "E284: `units` of `dense` is 2.5, expected a positive whole number"
    assert fault("dense", x, 0) == "E284: `units` of `dense` is 0, expected a positive whole number"
    assert fault("dense", x, True).startswith("E284: `units` of `dense` is true")
    assert fault("dense", x, x).startswith("E284: `units` of `dense` is a value of type real[4]")
    assert fault("dense", x, 4, init=WordCall("glorto")).endswith("(did you mean `glorot`?)")
    assert fault("dense", x, 4, init=WordCall("normal", (-1.0,))).startswith("E284: `std` of `normal` is -1")
    assert fault("dense", x, 4, init=WordCall("zeros", (), (("std", 1.0),))).startswith("E280")
    assert fault("dropout", x, 1.0).startswith("E284: `p` of `dropout` is 1")


def test_mistakes_in_shapes() -> None:
    bench = Workbench()
    x, matrix, image, number = bench.normal(2, 4), bench.normal(2, 3, 4), bench.normal(2, 6, 8, 8), bench.normal(2)
    label = bench.input([0, 1])
    assert fault("mean", matrix, axis=2).startswith("E286: `mean` has no axis 2 to work along: the value is real[3, 4]")
    assert fault("softmax", number).startswith("E286")
    assert fault("sum", matrix, axes=[1, -1]).startswith("E287")
    assert fault("conv", x, 8).startswith("E288")
    assert fault("dense", number, 8).startswith("E288")
    assert fault("mse", x, bench.normal(2, 4, 1)).startswith("E289")
    assert fault("stack", x, number).startswith("E289")
    assert fault("concat", x, matrix).startswith("E289")
    assert fault("dense", x, 5, weight=WordCall("antisymmetric")).startswith("E290")
    assert fault("groupnorm", image, 4).endswith("(6 is divisible by 1, 2, 3, 6)")
    assert fault("conv", image, 8, groups=3).startswith("E291")
    assert fault("cross_entropy", x, number).startswith("E292")
    assert fault("cross_entropy", matrix, label).startswith("E289")
    assert fault("reshape", x, 3).startswith("E293")
    assert fault("conv", image, 8, kernel=9).startswith("E294")
    assert fault("squeeze", x, 0).startswith("E288")
    assert fault("transpose", matrix, 0).startswith("E284")
    assert fault("range", 3, 3).startswith("E284")
    assert fault("broadcast_to", x, 3).startswith("E289")
    assert fault("max", x, x, axis=0).startswith("E280")
    assert fault("sum", x, axes=[0], axis=[0]).startswith("E283")
    assert fault("clip", x, 3, 1).startswith("E284")
    assert fault("exp", label).startswith("E232")
    assert fault("concat").startswith("E282")


def test_slips_of_the_keyboard_do_not_fill_the_memory() -> None:
    bench = Workbench()
    assert fault("dense", bench.normal(2, 4), 10**12).startswith("E284")
    assert fault("zeros", 10**6, 10**6).startswith("E295")
    assert fault("range", 10**10).startswith("E295")
    assert fault("repeat", bench.normal(2, 4), 10**7).startswith("E295")
    assert fault("gru", bench.normal(1, 20_000), 2).startswith("E296")


def test_numbers_become_values() -> None:
    result = call(FUNCTIONS["max"], [Workbench().normal(2, 3), 0], [], Workbench())
    assert isinstance(result, Node)
    assert str(result.type) == "real[batch, 3]"


@pytest.mark.parametrize(
    ("written", "groups"), [("n/2", 8), ("n/2/4", 2), ("(n + 16)/8", 4), ("n/1", 16), ("sqrt(n)", None), ("n/3", None)]
)
def test_a_quotient_that_is_whole_is_a_count(written: str, groups: int | None) -> None:
    """As where the count stands itself; what went through a root is real, and so is a third of sixteen."""
    text = f"dyn 1\nmodel m\nconst n = 16\ninput x: real[n, 3]\noutput y = x |> groupnorm({written})\n"
    if groups is None:
        with pytest.raises(IsoclineError, match="whole number"):
            model(text)
        return
    counted = model(text.replace(written, str(groups)))
    found = model(text)
    assert to_text(found.graph) == to_text(counted.graph)
