"""The layout of a message, as the specification shows it."""

from __future__ import annotations

from isocline_dsl import Diagnostic, Note, Source, Span, render, render_all

TEXT = "a = 1\n  x' = W @ x + b\nend\n"


def marked(text: str, piece: str) -> list[str]:
    start = text.index(piece)
    return render(Diagnostic("E199", "m", Span(start, start + len(piece))), Source(text, "f.dyn")).splitlines()[1:]


def test_code_place_notes_and_hint() -> None:
    start = TEXT.index("W @ x")
    diagnostic = Diagnostic(
        "E214",
        "the two sides of `@` do not fit",
        Span(start, start + 5),
        (Note("W is real[3, 4], declared", Span(0, 1)), Note("x is real[3]")),
        "`@` joins axes",
    )
    assert render(diagnostic, Source(TEXT, "pendulum.dyn")) == (
        "error[E214]: the two sides of `@` do not fit\n"
        "  --> pendulum.dyn:2:8\n"
        "   2 |   x' = W @ x + b\n"
        "     |        ^^^^^\n"
        "  note: W is real[3, 4], declared at 1:1; x is real[3]\n"
        "  hint: `@` joins axes"
    )


def test_no_place_no_excerpt() -> None:
    assert render(Diagnostic("E113", "not text", hint="h"), Source("x")) == "error[E113]: not text\n  hint: h"
    assert render(Diagnostic("E113", "m", Span(0, 1))) == "error[E113]: m"


def test_long_notes_stand_alone() -> None:
    notes = (Note("a" * 80), Note("b" * 80))
    assert render(Diagnostic("E199", "m", None, notes)).count("  note: ") == 2


def test_tabs_and_wide_letters_keep_the_mark_in_place() -> None:
    assert marked("\tx = 漢字 + y", "y") == ["  --> f.dyn:1:11", "   1 |     x = 漢字 + y", "     |                ^"]
    assert marked("漢 = 1", "漢")[-1] == "     | ^^"
    assert marked("e\u0301 = q", "q")[-1] == "     |     ^"


def test_control_characters_are_not_printed() -> None:
    assert marked("a\0\x1b[31m = q", "q")[1] == "   1 | a\ufffd\ufffd[31m = q"


def test_a_place_over_several_lines_is_marked_on_the_first() -> None:
    assert marked("x = f(a,\n  b)", "f(a,\n  b)")[-1] == "     |     ^^^^"


def test_the_end_of_the_text_can_be_marked() -> None:
    lines = render(Diagnostic("E199", "m", Span(5, 5)), Source("a = 1", "f.dyn")).splitlines()
    assert lines[1:] == ["  --> f.dyn:1:6", "   1 | a = 1", "     |      ^"]


def test_long_lines_are_cut_around_the_place() -> None:
    lines = marked("a" * 5000 + "q" + "b" * 5000, "q")
    assert len(lines[1]) < 160
    assert lines[1][lines[2].index("^")] == "q"


def test_messages_are_kept_apart() -> None:
    one = Diagnostic("E199", "m")
    assert render_all([one, one]) == "error[E199]: m\n\nerror[E199]: m"
