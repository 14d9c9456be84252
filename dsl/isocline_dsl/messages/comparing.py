"""E487 to E489: comparisons of several models."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E487")
def compared_alike(names: Sequence[str]) -> Draft:
    """Two files of a comparison have the same name, and so would their folders and their rows.

    A model is called by the name of its file, without the ending: `isocline compare small.dyn large.dyn`.
    """
    return Draft(None, f"two of the files have the same name: {', '.join(names)}", "rename one of them")


@message("E488")
def nothing_compared(span: Span | None, name: str) -> Draft:
    """A model of a comparison has no check, and so nothing to be compared by.

    What is compared are the left sides of checks, on held-out data. Whether they hold does not matter in a comparison;
    the same text is the same measure in every model.

        deploy { check rmse(forecast, ahead) < 1 }
    """
    hint = "write a measure of the held-out data into `deploy`: `check rmse(forecast, ahead) < 1`"
    return Draft(span, f"`{name}` has no check, and nothing to be compared by", hint)
