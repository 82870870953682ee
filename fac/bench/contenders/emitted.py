"""Steps that fac emits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from fac.backend import Precision, Session
from fac.bench.case import Case
from fac.bench.contenders.base import Contender, State
from fac.pipeline import compile


def session(case: Case, rule: str, backend: str, precision: str) -> Session:
    """On the CPU."""
    return compile(case.spec(rule), backend=backend, precision=cast(Precision, precision)).open(device="cpu")


class Emitted(Contender):
    """A session of a backend. One that makes several steps in one call is asked to."""

    def __init__(self, case: Case, state: State | None, precision: str, *, rule: str, backend: str) -> None:
        """Open it."""
        self.session = session(case, rule, backend, precision)
        if state is not None:
            self.load(state)

    def place(self, x: Any, y: Any) -> Any:
        """On the device."""
        return self.session.place(x), self.session.place(y)

    def steps(self, batches: Sequence[Any]) -> Any:
        """By `block` where that is one call, else one by one."""
        if self.session.at_once > 1:
            return self.session.block(batches)[-1]["loss"]
        for x, y in batches:
            loss = self.session.step(x, y)["loss"]
        return loss

    def load(self, state: State) -> None:
        """All of it."""
        self.session.load_state(state)

    def state(self) -> State:
        """All of it."""
        return self.session.state()
