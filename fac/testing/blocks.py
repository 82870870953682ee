"""Several steps in one call are the same steps, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from fac.testing.case import Case, Subject, compare, refuses, require
from fac.testing.nets import DROPOUT, NET, Data, batches, spec
from fac.testing.rules import RULES, UPDATES

NORM: Data = {"kind": "batch_norm", "name": "norm"}
WITH: dict[str, Data] = {
    "bp, momentum": spec(NET, RULES["bp"], UPDATES["momentum"]),
    "ldfa, adam": spec(NET, RULES["ldfa_oja_kp"], UPDATES["adam"]),
    "dfa, masks and averages": spec((NORM, *DROPOUT), RULES["dfa"], UPDATES["momentum"]),
    "what the host does between": spec(NET, {**RULES["ldfa_refresh"], "refresh": 3}, UPDATES["sgd"]),
    "anchors": spec(NET, RULES["fa"], UPDATES["momentum"], train={"anchor": {"every": 3, "rule": "bp"}}),
    "updates of several batches": spec(NET, RULES["bp"], UPDATES["adam"], train={"accumulate": 3}),
}
RATES = (0.1, 0.2, 0.05, 0.0, 0.1, 0.3, 0.1, 0.1)


def cases() -> Iterator[Case]:
    """One for each way in which steps are not all alike."""
    for name, whole in WITH.items():
        yield Case(f"block/several steps in one call are those steps x {name}", partial(same, whole))
    yield Case("block/batches of several sizes", sizes)
    yield Case("block/of wrong batches no step is made", wrong)


def same(whole: Data, subject: Subject) -> None:
    """Blocks that do not end where something else than a step happens, each from where the one before has ended."""
    artifact, given = subject.compile(whole), batches(*[7] * len(RATES))
    one, several = artifact.open(device=subject.device), artifact.open(device=subject.device)
    losses = [float(one.step(x, y, lr)["loss"]) for (x, y), lr in zip(given, RATES, strict=True)]
    placed = [(several.place(x), several.place(y)) for x, y in given]
    found = several.block(placed[:1], RATES[0])
    found += several.block(placed[1:3], RATES[1:3])
    found += several.block(placed[3:], RATES[3:])
    require([float(each["loss"]) for each in found] == losses, "the losses differ")
    compare(one.state(), several.state(), tolerance=0)


def sizes(subject: Subject) -> None:
    """The last batch of a pass may be a smaller one."""
    artifact, given = subject.compile(WITH["bp, momentum"]), batches(7, 7, 4)
    one, several = artifact.open(device=subject.device), artifact.open(device=subject.device)
    losses = [float(one.step(x, y)["loss"]) for x, y in given]
    require([float(each["loss"]) for each in several.block(given)] == losses, "the losses differ")
    compare(one.state(), several.state(), tolerance=0)


def wrong(subject: Subject) -> None:
    """Neither those before the wrong one, nor any where learning rates are missing."""
    session, given = subject.open(WITH["bp, momentum"]), batches(7, 7)
    before = session.state()
    refuses(lambda: session.block([given[0], (given[1][0][:, :3], given[1][1])]), "a batch of another shape")
    refuses(lambda: session.block(given, [0.1]), "a learning rate for one of two batches")
    rates: tuple[Any, ...] = ("0.1", object(), ["0.1", 0.1], np.float32(-1))
    for rate in rates:
        refuses(partial(session.block, given, rate), "a learning rate that is none")
    compare(before, session.state(), tolerance=0)
    require(session.block([]) == [], "of no batches there is something")
