"""What a session shows of a batch is what its step does with it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from fac.testing.case import Answers, Case, Subject, agreement, compare, law, require
from fac.testing.nets import DROPOUT, NET, SKIP, Layers, batch, spec
from fac.testing.rules import RULES
from fac.testing.tolerance import TOLERANCE

PLAIN = {"rule": "sgd", "lr": 1.0}
"""A step takes the gradient from the parameter."""
X, Y = batch()


def cases() -> Iterator[Case]:
    """Laws within a backend, and agreement with the reference."""
    for rule in RULES:
        yield law(
            f"views/gradients are what a step takes x {rule}", partial(shown, rule), partial(taken, rule)
        )
    yield agreement("rule", "views x ldfa_oja_kp", partial(views, NET, RULES["ldfa_oja_kp"]))
    yield agreement("rule", "views x skip", partial(views, SKIP, {"rule": "dfa"}))
    yield agreement("rule", "views x dropout", partial(views, DROPOUT, {"rule": "fa"}))
    yield Case("session/views leave the state alone", untouched)


def shown(rule: str, subject: Subject) -> Answers:
    """The gradients of parameters that move."""
    return subject.open(spec(NET, RULES[rule], PLAIN)).gradients(X, Y)


def taken(rule: str, subject: Subject) -> Answers:
    """What is gone after a step."""
    session = subject.open(spec(NET, RULES[rule], PLAIN))
    names, before = session.gradients(X, Y), session.state()
    session.step(X, Y, lr=1.0)
    after = session.state()
    return {name: before[name] - after[name] for name in names}


def views(layers: Layers, feedback: Any, subject: Subject) -> Answers:
    """All of them, after a step."""
    session = subject.open(spec(layers, feedback))
    session.step(X, Y)
    found: dict[str, Any] = {f"value {name}": value for name, value in session.values(X).items()}
    for true in (False, True):
        found |= {f"error {name} {true}": value for name, value in session.errors(X, Y, true=true).items()}
        gradients = session.gradients(X, Y, true=true)
        found |= {f"gradient {name} {true}": value for name, value in gradients.items()}
    bound = TOLERANCE["law"][subject.precision]
    compare({"output": found["value out"]}, {"output": session.forward(X)}, bound)
    return found


def untouched(subject: Subject) -> None:
    """Neither the state nor the number of steps moves, and later views see later states."""
    session = subject.open(spec(NET, RULES["fa"], PLAIN))
    before, first = session.state(), session.gradients(X, Y)
    session.values(X), session.errors(X, Y)
    after = session.state()
    require(all(np.array_equal(before[name], after[name]) for name in before), "a view moves the state")
    session.step(X, Y)
    later = session.gradients(X, Y)
    require(
        not np.allclose(first["out.weight"], later["out.weight"]), "a view shows the state of an earlier step"
    )
