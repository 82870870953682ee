"""How long a training is, and what comes at every so many steps and not once in it: part of FAC314."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fac.checks.idle import SETTING_WITHOUT_EFFECT
from fac.checks.places import by_origin, matrix_of
from fac.diagnostics import Diagnostic, Path
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.program.reading import refresh_of


def never_due(program: Program) -> Iterator[Diagnostic]:
    """Anchors, factors set anew, updates, what is logged and the end of patience that the training ends before."""
    yield from _patience(program)
    steps = steps_of(program)
    if steps is None:
        return
    for path, every in _recurring(program):
        if every > steps:
            *_, owner, field = path
            what = owner if field == "every" else field
            yield SETTING_WITHOUT_EFFECT.at(
                path,
                f"`{what}` has no effect before step {every}, and the training ends with step {steps}",
                help=_remedy(path, steps),
            )


def _patience(program: Program) -> Iterator[Diagnostic]:
    """A training that ends before it could end early: the first epoch is at best the best."""
    stop, epochs = program.spec.train.stop, program.spec.epochs
    if stop is not None and epochs is not None and stop.patience >= epochs - 1:
        yield SETTING_WITHOUT_EFFECT.at(
            ("train", "stop", "patience"),
            f"`patience` has no effect before epoch {stop.patience + 1}, and the training ends with epoch {epochs}",
            help=f"write {epochs - 2} or less, or train longer" if epochs > 2 else "train longer",
        )


def _remedy(path: Path, steps: int) -> str:
    """What may be written in the place of a period: an anchor is never each step, so a single one has none."""
    if path[-1] == "every" and steps == 1:
        return "remove the anchor, or train longer"
    return f"write {steps} or less, or train longer"


def steps_of(program: Program) -> int | None:
    """How many steps the training makes; None where it makes none, or nobody knows before the data are read."""
    data, train = program.spec.data, program.spec.train
    facts = None if data is None or program.spec.solve is not None else kind_of("fac.data", data).known(data)
    if facts is None or facts.train is None:
        return None
    steps: int = facts.train // train.batch * train.epochs
    return steps or None


def _recurring(program: Program) -> Iterator[tuple[Path, int]]:
    """Where it stands at every how many steps something happens."""
    anchor: Any = program.spec.train.anchor
    if anchor is not None:
        yield ("train", "anchor", "every"), anchor.every
    for field in ("accumulate", "log_every", "probe_every"):
        every = getattr(program.spec.train, field)
        if every is not None:
            yield ("train", field), every
    for routes in by_origin(program.routes).values():
        every = next(filter(None, map(refresh_of, routes)), None)
        if every is not None:
            yield matrix_of(program, routes[0], "refresh"), every
