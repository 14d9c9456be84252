"""E2xx below E210: names and what they stand for; E26x: names of functions, layers and schemes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from isocline_dsl.messages.message import Draft, declared, did_you_mean, message
from isocline_dsl.tree import Span


@message("E201")
def unknown_name(span: Span, name: str, known: Collection[str]) -> Draft:
    """A name that nothing in the file declares.

    A value is declared as `input`, `target`, `param` or `const`, or given a name by an assignment. Inside a field the
    time, the states and the definitions of the field are known, too; inside a net only its arguments, constants and
    parameters.

        param growth: positive
        field f(t, x: real) { x' = grwth*x }      # did you mean `growth`?

    Correct the spelling, or declare the name.
    """
    return Draft(span, f"nothing is called `{name}` here", did_you_mean(name, known))


@message("E202")
def unused_name(span: Span, kind: str, name: str) -> Draft:
    """A declaration that nothing uses.

    A parameter that no equation uses cannot be fitted, and an input that nothing reads would have to be supplied for
    nothing. Most often the name was misspelt where it should have been used, or an equation was changed and its
    parameter left behind.

    Use it, or take the declaration away.
    """
    return Draft(span, f"the {kind} `{name}` is never used", "use it or take it away")


@message("E203")
def duplicate_name(span: Span, name: str, first: Span | None, itself: bool = False) -> Draft:
    """Two declarations of one name.

    Every name means one thing in a file, and every definition is made once: the order of declarations does not matter,
    so a second one cannot replace the first.

        k = 1
        k = 2                    # choose another name
        output k = k             # output k
    """
    hint = f"`output {name}` alone makes the value an output" if itself else "choose another name"
    return Draft(span, f"`{name}` is declared twice", hint, declared("first declared", first))


@message("E204")
def definition_cycle(span: Span, cycle: Sequence[str]) -> Draft:
    """Definitions that need each other.

    A value is computed from others that are computed before it. When `a` needs `b` and `b` needs `a`, neither can be
    first.

        a = b + 1
        b = 2*a

    A relation that holds for both at once is an equation to be solved: write one of them explicitly, or
    make it the state of a field.
    """
    return Draft(span, f"`{cycle[0]}` is defined by itself: {' -> '.join([*cycle, cycle[0]])}", "break the circle")


@message("E205")
def target_outside_training(span: Span, name: str, first: Span | None, through: Sequence[str] = ()) -> Draft:
    """A target is used where only known values may stand.

    A `target` is known in the training data and nowhere else: whoever runs the model does not have it. The loss, and
    `check` in `deploy`, may use it, and so may values, controls, fields and solves that no output leans on.

        target pelts: real[21, 2]
        output error = forecast - pelts          # who runs the model has no pelts
        error = forecast - pelts                 # for the loss alone

    Compare with the target in `train`, or declare an `input` when the caller does supply the value.
    """
    hint = "an output may lean on no target; declare an `input` if the caller supplies it"
    path = f", and the output `{through[0]}` leans on it: {' -> '.join([*through, name])}" if len(through) > 1 else ""
    return Draft(
        span, f"the target `{name}` is used outside training{path}", hint, declared(f"`{name}` is declared", first)
    )


@message("E206")
def shadowed_name(span: Span, name: str, first: Span | None) -> Draft:
    """A local name hides one of the file.

    Inside a field or a net, a definition, a state or an argument may not have the name of a parameter, a constant or an
    input: a reader would take one for the other.

        param k: positive
        field f(t, x: real) { k = 2; x' = -k*x }
    """
    return Draft(span, f"`{name}` hides a name of the file", "choose another name", declared("declared", first))


@message("E207")
def reserved_name(span: Span, name: str) -> Draft:
    """A name that the language has given a meaning.

    `inf`, `pi`, `true` and `false` are values of the language.
    No declaration can change them.
    """
    return Draft(span, f"`{name}` already has a meaning in the language", f"choose another name, such as `{name}_`")


@message("E208")
def not_captured(span: Span, name: str, net: str, kind: str, around: str = "net") -> Draft:
    """A net or a function uses a value that is not one of its arguments.

    A net knows its arguments, constants, parameters and other nets; a function its arguments, constants and other
    functions. Inputs and computed values are handed to them, so that they can be called with others.

        input x: real[2]
        net f(z: real[2]) -> real = z |> dense(4) |> dense(1) + x[0]      # hand x to f as an argument
    """
    return Draft(span, f"the {around} `{net}` uses the {kind} `{name}`", f"make `{name}` an argument of `{net}`")


@message("E209")
def not_a_value(span: Span, name: str, kind: str) -> Draft:
    """The name of a net, a function, a field or a noise stands where a value belongs.

    A net or a function is called: `f(x)`. A field is solved: `solve f from ...`.
    """
    call = f"call it: `{name}(...)`"
    hint = {"net": call, "function": call, "field": f"solve it: `solve {name} from ...`"}.get(kind)
    return Draft(span, f"`{name}` is a {kind}, not a value", hint)


@message("E260")
def unknown_function(span: Span, name: str, known: Collection[str], elsewhere: str | None = None) -> Draft:
    """A call of a function or layer that does not exist.

    Functions (`tanh`, `log`, `concat`), layers (`dense`, `conv`) and the nets of the file can be called;
    `docs/language.md` lists them.

        y = x |> dens(16)        # did you mean `dense`?
    """
    return Draft(span, f"there is no function or layer `{name}`", elsewhere or did_you_mean(name, known))


@message("E261")
def not_callable(span: Span, name: str, kind: str, states: Sequence[str] = ()) -> Draft:
    """Something that is not a function is called.

    Multiplication needs its operator: `k*(a + b)`, not `k(a + b)`. A state may be called with a time, `x(t - tau)`, in
    its own field only. A field is no function: it is solved.

        path = solve decay from x = x0 over 0..1        # not decay(0, x0)
    """
    hint = f"write `{name}*(...)` to multiply"
    if kind == "field":
        starts = ", ".join(f"{state} = ..." for state in states) or "STATE = ..."
        hint = f"solve it: `NAME = solve {name} from {starts} over 0..1`, alone on the right side"
    return Draft(span, f"`{name}` is a {kind} and cannot be called", hint)


@message("E262")
def unknown_block_item(span: Span, block: str, key: str, known: Collection[str]) -> Draft:
    """A setting that its block does not have.

    `data`, `train` and `deploy` each have their own settings.

        train { optimiser adam(lr=0.01) }        # did you mean `optimizer`?
    """
    hint = did_you_mean(key, known) or f"`{block}` knows: {', '.join(sorted(known))}"
    return Draft(span, f"`{block}` has no setting `{key}`", hint)


@message("E263")
def setting_twice(span: Span, key: str, first: Span | None) -> Draft:
    """A setting is given twice in one block.

    Only `check`, `draw` and `attribute` may stand several times.
    """
    return Draft(span, f"`{key}` is given twice", "take one away", declared("first given", first))


@message("E264")
def block_twice(span: Span, block: str, first: Span | None) -> Draft:
    """`data`, `train` and `deploy` stand once each in a file; several blocks `train` have a name each.

    train drift { loss mse(mean_path, next); only drift_net }
    train diffusion { loss energy_score(paths, next); only diffusion_net }
    """
    hint = "join the two, or give each a name: `train drift {`" if block == "train" else "join the two"
    return Draft(span, f"a second `{block}` block", hint, declared("the first begins", first))


@message("E265")
def setting_without_value(span: Span, block: str, key: str) -> Draft:
    """A setting without its value.

    Only `stream` in `deploy` stands alone.

        train { epochs }         # how many?
    """
    return Draft(span, f"`{key}` in `{block}` has no value", f"write `{key} VALUE`")


@message("E266")
def unknown_type(span: Span, name: str, known: Collection[str]) -> Draft:
    """A type that does not exist.

    The types are `real`, `positive`, `bool`, `class[n]` and `time[n]`; the noises of a field have types of
    their own such as `brownian[n]`.
    """
    return Draft(span, f"there is no type `{name}`", did_you_mean(name, known))


@message("E267")
def item_misplaced(span: Span, what: str, block: str, belongs: str) -> Draft:
    """Something stands in a block where it does not belong.

    `draw` belongs in `train`, `attribute` in `deploy`, and bindings such as `pelts = rows(hare, lynx)` in `data`.
    """
    return Draft(span, f"{what} does not belong in `{block}`", f"it belongs in `{belongs}`")


@message("E268")
def unknown_output(span: Span, name: str, known: Collection[str]) -> Draft:
    """`attribute` or `of=` names an output that the file does not have.

    Attributions explain an output of the model with respect to its inputs.
    """
    return Draft(span, f"there is no output `{name}`", did_you_mean(name, known))


@message("E269")
def unknown_input(span: Span, name: str, known: Collection[str]) -> Draft:
    """`wrt`, or a binding in `data`, names something that is not an input or target of the model.

    The names in `data` are those of inputs and targets: each says which columns supply it.
    """
    return Draft(span, f"there is no input or target `{name}`", did_you_mean(name, known))
