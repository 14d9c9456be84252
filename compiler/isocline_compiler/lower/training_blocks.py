"""Several blocks `train`: which are trained one after another, and which take turns within another's updates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.lower.settings import Settings
from isocline_compiler.model import TrainingPlan, Turn
from isocline_compiler.vocabulary.options import Choice
from isocline_dsl import messages
from isocline_dsl.tree import Block

OF_THE_OTHER = ("epochs", "batch", "validation", "early_stop", "seed", "precision", "alternate")
"""Settings that a block which takes turns has from the block it takes turns with."""


def in_turn(plans: Mapping[Block, TrainingPlan | None], numbers: Numbers) -> tuple[TrainingPlan, ...]:
    """The plans that are trained one after another, each with the turns that `alternate` gives to others.

    Raises LowerError.
    """
    known = {plan.name: (block, plan) for block, plan in plans.items() if plan is not None}
    taken: dict[str, str] = {}
    turns: dict[str, tuple[Turn, ...]] = {}
    if len(known) < len(plans):
        return ()  # another mistake, which is told
    for name, (block, plan) in known.items():
        found = list(_turns(block, plan, [other for other in known if other not in (name, *taken)], known, numbers))
        taken |= {turn.plan.name: name for turn in found}
        turns[name] = tuple(found)
    return tuple(replace(plan, turns=turns[name]) for name, (_, plan) in known.items() if name not in taken)


def _turns(
    block: Block,
    plan: TrainingPlan,
    free: Iterable[str],
    known: Mapping[str, tuple[Block, TrainingPlan]],
    numbers: Numbers,
) -> Iterable[Turn]:
    settings = Settings(block, numbers)
    choices = {name: Choice(name, {"updates": 1}, ("updates",)) for name in free}
    for value in (value for setting in settings.all("alternate") for value in setting.values):
        called = settings.option(value, "alternate", choices, messages.unknown_train_block)
        del choices[called.name]
        other, player = known[called.name]
        for whose, its in ((block, plan), (other, player)):
            if its.only is None:
                raise LowerError(messages.turns_without_only(whose.name.span if whose.name else whose.span, its.name))
        _require_turns(other, player, plan.name, numbers)
        # its own draws, and not those of the other block's updates
        seed = int.from_bytes(hashlib.sha256(f"{plan.seed} {player.name}".encode()).digest()[:6], "little")
        shared = replace(player, epochs=plan.epochs, batch=plan.batch, seed=seed, precision=plan.precision)
        yield Turn(shared, int(called.get("updates")))


def _require_turns(block: Block, plan: TrainingPlan, whose: str, numbers: Numbers) -> None:
    """It leaves to the other block how long and on what batches they are trained. Raises LowerError."""
    settings = Settings(block, numbers)
    for key in OF_THE_OTHER:
        for setting in settings.all(key):
            raise LowerError(messages.setting_of_turns(setting.span, key, whose))
    if plan.schedule.name == "plateau":
        raise LowerError(messages.setting_of_turns(plan.schedule.span, "schedule plateau", whose))
