"""The state of a session without a copy of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fac.backend.compiled import Array

if TYPE_CHECKING:
    from fac.backend.session import Session


class Live(Mapping[str, Array]):
    """See `Session.live`."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __iter__(self) -> Iterator[str]:
        return (slot.name for slot in self.session.compiled.state)

    def __len__(self) -> int:
        return len(self.session.compiled.state)

    def __getitem__(self, name: str) -> Array:
        return self.session.read((name,))[name]
