"""Several steps in one call: the numbers of the same steps one by one, without what surrounds each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

from fac.backend.compiled import Compiled
from fac.diagnostics import FacError

if TYPE_CHECKING:
    from fac.backend.session import Arrays, Session


def block(session: Session, batches: Sequence[Arrays], rates: Sequence[float]) -> Iterator[Mapping[str, Any]]:
    """What `run_step` gives, of one step after the other.

    Steps of anchors, and what happens on the host between two, part a block.

    Args:
        session: whose state moves.
        batches: placed arrays by the names of feeds.
        rates: of each.
    """
    done = 0
    while done < len(batches):
        many = min(ordinary(session.compiled, session.steps), len(batches) - done)
        now = slice(done, done + max(many, 1))
        if many > 1:
            found = session.run_steps(batches[now], rates[now], session.steps)
        else:
            found = [session.moved(batches[done], rates[done])]
        session.steps += len(found)
        done += len(found)
        session.between()
        yield from found


def ordinary(compiled: Compiled, steps: int) -> int:
    """How many steps may be made at once after so many: 0 where the next one is that of an anchor."""
    most = 1 << 62
    if compiled.anchor is not None:
        most = compiled.anchor.every - 1 - steps % compiled.anchor.every
    return min([most, *(task.every - steps % task.every for task in compiled.tasks)])


def rates_of(lr: float | Sequence[float] | None, count: int) -> list[float | None]:
    """One for each step.

    Raises:
        FacError: there are others than steps.
    """
    if lr is None or isinstance(lr, str) or not isinstance(lr, Sized):
        return [lr] * count  # what is no number is told where each is looked at
    if len(lr) != count:
        raise FacError(
            f"there are {len(lr)} learning rates for {count} batches: give one for each, or one for all"
        )
    return [*lr]
