"""E1xx: the text cannot be read."""

from __future__ import annotations

import unicodedata

from isocline_dsl.diagnostics import Note
from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E101")
def stray_character(span: Span, character: str) -> Draft:
    """A character that means nothing in the language.

    Programs are written with letters of any alphabet, digits, the operators `+ - * / ^ @ = |>` and brackets.
    Characters that look like an operator but are not, such as a long dash or a multiplication sign, come from
    copying out of a typeset document.

        x' = −k*x        # the dash is U+2212, not a minus

    Type the character again on the keyboard.
    """
    return Draft(span, f"the character {character} means nothing here", "replace it or take it away")


@message("E102")
def bracket_not_closed(span: Span, bracket: str, closing: str, before: str) -> Draft:
    """An opening bracket without its closing one.

    A line goes on while a bracket is open, so one that is forgotten would swallow the rest of the file. The message
    marks the bracket that was opened.

        h = dense(x, 16          # `)` is missing
        y = tanh(h)

    Add the closing bracket where the expression or the block ends.
    """
    return Draft(span, f"`{bracket}` is never closed", f"expected `{closing}` before {before}")


@message("E103")
def bracket_not_opened(span: Span, bracket: str, opening: str) -> Draft:
    """A closing bracket that closes nothing.

        y = (a + b)) * c         # one `)` too many

    Take it away, or add the opening bracket it belongs to.
    """
    return Draft(span, f"`{bracket}` closes nothing", f"no `{opening}` is open here")


@message("E104")
def string_not_closed(span: Span) -> Draft:
    """A string without its closing quote.

    A string begins and ends on the same line: `"thousands of pelts"`. A quote inside it is written `\\"`.
    """
    return Draft(span, "this string is never closed", 'end it with `"` on the same line')


@message("E105")
def unknown_escape(span: Span, escape: str) -> Draft:
    r"""A backslash in a string before a character that it cannot stand before.

    The escapes are `\"`, `\\`, `\n` and `\t`. A path on Windows is written with `/` or with `\\`.

        source "data\pelts.csv"       # write "data/pelts.csv"
    """
    return Draft(span, f"`{escape}` is not an escape", r"write `\\` for a backslash; `\"`, `\n` and `\t` exist")


@message("E106")
def not_a_name(span: Span, name: str, character: str, begins: bool) -> Draft:
    """A name with a character that no name may contain.

    Names begin with a letter or `_` and go on with letters, digits and `_`; letters of any alphabet are welcome: `α`,
    `größe`. Superscripts, arrows and typographic operators are not letters. Digits are 0 to 9, of no other alphabet.

        y = x²                   # write x^2
        y = a×b                  # write a*b
    """
    what = "begin one" if begins else "be part of one"
    return Draft(span, f"`{name}` is not a name: `{character}` cannot {what}", _instead(character))


def _instead(character: str) -> str | None:
    known = {
        "×": "*",
        "·": "*",
        "−": "-",
        "–": "-",
        "→": "->",
        "≤": "<=",
        "≥": ">=",
        "≠": "!=",
        "²": "^2",
        "³": "^3",
        "÷": "/",
    }
    digit = unicodedata.decimal(character, None)
    instead = known.get(character) if digit is None else str(digit)
    return None if instead is None else f"write `{instead}`"


@message("E107")
def unexpected(span: Span, found: str, expected: str, hint: str | None = None) -> Draft:
    """Something stands where something else belongs.

    The message says what was found and what could have stood there. The mistake is often just before the place that is
    marked: a missing operator, comma or bracket.

        param k real = 1         # expected `:` before the type
    """
    return Draft(span, f"found {found}, expected {expected}", hint)


@message("E108")
def ends_too_soon(span: Span, after: str, expected: str) -> Draft:
    """A statement or the file ends before it is complete.

    A line ends its statement unless it ends in an operator, a comma or an open bracket, or the next line begins
    with `|>` or a word of a solve: `from`, `over`, `at`, `with`.

        h' =                     # nothing after the sign
    """
    return Draft(span, f"the statement ends after {after}", f"expected {expected}")


@message("E109")
def side_by_side(span: Span, left: str, right: str, listed: bool = False) -> Draft:
    """Two expressions stand side by side without an operator.

    Multiplication is written with `*`. Only a differential stands directly after its factor, as in `mu*s dt`, and only
    in an equation of the form `ds = ... dt + ... dW`.

        x' = 2 x                 # write 2*x
    """
    product = "`*` between them" if right in ("(", "[") or left in (")", "]") else f"`{left}*{right}`"
    hint = f"write {product}, or the operator that is missing"
    if listed and right not in ("(", "[") and left not in (")", "]"):
        hint = f"write `{left}, {right}` where they are two values, {product} where they are one"
    if right.startswith("d") and right.isidentifier() and len(right) > 1:  # meant as a differential, most likely
        hint = (
            f"a differential ends a term of a sum, `dx = a dt + b {right}`; `x' = a` has none. A product is {product}"
        )
    return Draft(span, f"`{left}` and `{right}` stand side by side", hint)


@message("E110")
def term_without_differential(span: Span, term: str, differential: str) -> Draft:
    """A term of a differential equation has no differential.

    In `dx = f dt + g dW` every term ends in `dt` or in the differential of a noise or a control path. A differential
    belongs to the product it follows, so a sum needs parentheses.

        dx = a + b dt            # write (a + b) dt
    """
    hint = f"write `{differential}` after it, or put the sum in parentheses: `({term} + ...) {differential}`"
    return Draft(span, f"the term `{term}` has no differential", hint)


@message("E111")
def nested_too_deeply(span: Span, limit: int, hint: str = "give a part of it a name of its own") -> Draft:
    """An expression is nested too deeply.

    Brackets, pipelines, sums and nested calls may be nested 100 levels deep; a sum of a hundred terms counts as a
    hundred levels. Beyond that nobody can read the expression either.

    Give parts of it a name: `inner = ...`, then use `inner`.
    """
    return Draft(span, f"this is nested more than {limit} levels deep", hint)


@message("E112")
def file_too_long(span: Span, length: int, limit: int) -> Draft:
    """The file is too long to be a program somebody wrote.

    Programs are limited to a million characters. Numbers in bulk belong into a data file beside the program.
    """
    return Draft(span, f"the file has {length} characters; the limit is {limit}", "keep data in a csv or parquet file")


@message("E113")
def not_utf8(offset: int) -> Draft:
    """The file is not text in UTF-8.

    Programs are text files in UTF-8. An editor that saved in another encoding, or a file that is not text at all, gives
    this message with the offset of the first byte that does not fit.
    """
    return Draft(None, f"the file is not UTF-8 text: byte {offset} does not fit", "save the file as UTF-8")


@message("E114")
def file_not_read(name: str, reason: str) -> Draft:
    """The file cannot be opened.

    It does not exist, is a folder, or may not be read by you.
    """
    return Draft(None, f"cannot read {name}: {reason}")


@message("E115")
def no_version_line(span: Span) -> Draft:
    """The file does not begin with its version line.

    The first statement of a program is `dyn 1`. It says which version of the language the file is written
    in, so that old files keep their meaning.
    """
    return Draft(span, "the file does not begin with its version", "let the first line be `dyn 1`")


@message("E116")
def unknown_version(span: Span, version: str) -> Draft:
    """The file is written in a version of the language that this compiler does not know.

    This compiler reads `dyn 1`. A newer file needs a newer compiler.
    """
    return Draft(span, f"version {version} of the language is not known", "this compiler reads `dyn 1`")


@message("E117")
def no_model_line(span: Span) -> Draft:
    """The file does not name its model.

    The second statement of a program is `model NAME "description"`; the description may be left out. The name is the
    name of the artifact. A file whose declarations others `use` has no model, and is checked together with them.

        dyn 1
        model pendulum "a pendulum with friction"
    """
    return Draft(span, "the file does not name its model", 'write `model NAME "description"` after `dyn 1`')


@message("E118")
def header_misplaced(span: Span, word: str) -> Draft:
    """`dyn` and `model` stand once each, at the beginning of the file."""
    return Draft(span, f"`{word}` stands at the beginning of the file, once", "take this line away")


@message("E119")
def equation_outside_field(span: Span, state: str) -> Draft:
    """An equation stands outside a field.

    `x' = ...` says how a state changes; states belong to a field, which also names the time:

        field decay(t, x: real) { x' = -k*x }
    """
    return Draft(
        span,
        f"the equation for `{state}` stands outside a field",
        f"write `field NAME(t, {state}: real) {{ ... }}` around it",
    )


@message("E120")
def argument_without_type(span: Span, name: str) -> Draft:
    """An input, a target, an argument or a state has no type.

    Several names may share the type that follows them: `q, p: real[2]`. The last one always needs a type;
    only the time of a field has none.
    """
    return Draft(span, f"`{name}` has no type", f"write `{name}: real`, or `real[n]` for n numbers")


@message("E121")
def field_without_time(span: Span, field: str) -> Draft:
    """The first argument of a field is the time, a name without a type.

        field decay(t, x: real) { x' = -k*x }

    Write the time even when no equation uses it.
    """
    return Draft(span, f"the first argument of `{field}` is not a time", "begin with a name without a type: `(t, ...)`")


@message("E122")
def positional_after_keyword(span: Span, call: str) -> Draft:
    """An argument without a name follows one with a name.

    conv(kernel=3, 16)       # write conv(16, kernel=3)
    """
    return Draft(span, f"in `{call}`, an argument without a name follows one with a name", "put it first, or name it")


@message("E123")
def keyword_twice(span: Span, name: str, first: Span) -> Draft:
    """An argument is given twice in one call.

    dense(16, init=zeros, init=ones)
    """
    return Draft(span, f"`{name}` is given twice", notes=(Note("first given", first),))


@message("E124")
def net_without_result(span: Span, net: str) -> Draft:
    """The body of a net does not end in its result.

    A net in braces is a list of assignments and, last, one expression: the result.

        net f(x: real) -> real {
          h = x |> dense(8) |> tanh
          h |> dense(1)
        }
    """
    return Draft(span, f"the body of `{net}` does not end in an expression", "write the result on its last line")


@message("E125")
def expression_not_last(span: Span, net: str) -> Draft:
    """In the body of a net an expression stands before the end.

    Only the last line of a net is an expression, its result; every other line gives a name to a value. An expression
    without a name would be computed for nothing.
    """
    return Draft(span, f"this value in `{net}` is never used", "give it a name, or make it the last line")


@message("E126")
def slice_empty(span: Span) -> Draft:
    """An index with nothing in it.

    `x[0]` is one entry, `x[1:3]` a range of them, `x[:]` all.
    """
    return Draft(span, "this index is empty", "write `x[0]`, `x[1:3]` or `x[:, 0]`")


@message("E127")
def comparison_chained(span: Span) -> Draft:
    """Comparisons do not chain.

    check 0 < e < 1          # write 0 < e and e < 1
    """
    return Draft(span, "comparisons do not chain", "write `a < b and b < c`")


@message("E128")
def pipeline_stage(span: Span, found: str) -> Draft:
    """The right side of `|>` is a layer or a function, alone.

    `x |> f(a)` means `f(x, a)`. To go on with the result in a formula, put the pipeline in parentheses, or
    give it a name.

        y = x |> dense(4) + b    # write (x |> dense(4)) + b
    """
    return Draft(
        span,
        f"{found} cannot follow a stage of a pipeline",
        "put the pipeline in parentheses: `(x |> f) + b`",
    )


@message("E129")
def reserved_word(span: Span, word: str) -> Draft:
    """A word of the language stands where a name belongs.

    `solve`, `scan`, `from`, `over`, `at`, `with`, `in`, `and`, `or`, `not` and the words that begin a
    declaration cannot name a value.

        at = 3                   # choose another name
    """
    return Draft(
        span,
        f"`{word}` is a word of the language and cannot be a name",
        f"choose another name, such as `{word}_`",
    )


@message("E130")
def many_mistakes(span: Span | None, more: int) -> Draft:
    """The file has more mistakes than are shown.

    Two hundred are shown. A file with so many is often not a program at all: is it the right one?
    """
    return Draft(span, f"{more} more mistakes are not shown", "mend the first ones; is this the right file?")


@message("E131")
def declaration_inside(span: Span, word: str, brace: Span | None) -> Draft:
    """A declaration stands inside the braces of another one.

    `param`, `input`, `net`, `control` and the like are for the whole file. A field, a net and a block see what is
    declared beside them, so nothing of it need stand inside.

        field f(t, z: real) {
          param k: positive          # move this line out, above the field
          z' = -k*z
        }
    """
    notes = (Note("the braces open here", brace),) if brace is not None else ()
    return Draft(
        span, f"`{word}` stands inside braces", f"move `{word} ...` out, above what the braces belong to", notes
    )
