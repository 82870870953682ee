"""Steps that fac emits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from fac.backend import Precision, Session
from fac.bench.case import Case
from fac.bench.contenders.base import SETTLING, Contender, State
from fac.pipeline import compile


def session(case: Case, rule: str, backend: str, precision: str, device: str = "cpu") -> Session:
    """Of a case and a rule."""
    return compile(case.spec(rule), backend=backend, precision=cast(Precision, precision)).open(device=device)


class Emitted(Contender):
    """A session of a backend. One that makes several steps in one call is asked to."""

    def __init__(
        self,
        case: Case,
        state: State | None,
        precision: str,
        *,
        rule: str,
        backend: str,
        device: str = "cpu",
    ) -> None:
        """Open it."""
        self.session = session(case, rule, backend, precision, device)
        self.at_once = self.session.at_once
        self.settling = SETTLING if getattr(self.session, "captures", False) else 0
        if state is not None:
            self.load(state)

    def place(self, x: Any, y: Any) -> Any:
        """On the device."""
        return self.session.place(x), self.session.place(y)

    def steps(self, batches: Sequence[Any]) -> Any:
        """By `block` where that is one call, as many as the trainer asks for, else one by one."""
        if self.at_once > 1:
            for begun in range(0, len(batches), self.at_once):
                loss = self.session.block(batches[begun : begun + self.at_once])[-1]["loss"]
            return loss
        for x, y in batches:
            loss = self.session.step(x, y)["loss"]
        return loss

    def load(self, state: State) -> None:
        """All of it."""
        self.session.load_state(state)

    def state(self) -> State:
        """All of it."""
        return self.session.state()
