"""What two programs differ in, as plain data that every output format is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Plain = str | int | float | bool | None | tuple["Plain", ...] | Mapping[str, "Plain"]
"""A value of a spec, or a figure. None stands for nothing at all."""

SECTIONS = (
    "errors",
    "routes",
    "subspaces",
    "trainable",
    "layers",
    "network",
    "update",
    "training",
    "probes",
    "constraints",
    "step",
)
"""In the order in which a reviewer wants to read them: routing, network, training."""
ROUTING = SECTIONS[:3]


OTHER_STATE = "renamed: other initial values, old checkpoints do not fit"
"""The note on what is the same under another name, because values are drawn and stored by name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One fact before and after."""

    field: str
    old: Plain
    new: Plain


@dataclass(frozen=True, slots=True)
class Subject:
    """What an item is about, in words of the spec: `{"layer": "fc1"}`, `{"to": "fc1", "from": "loss"}`."""

    words: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, **words: str) -> Subject:
        """The words in their order; `from_` is `from`."""
        return cls(tuple((key.rstrip("_"), value) for key, value in words.items()))

    @property
    def key(self) -> str:
        """What kind of thing it is: the first word."""
        return self.words[0][0]

    @property
    def name(self) -> str:
        """Which one it is."""
        return self.words[0][1]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was added (`old` is None), removed (`new` is None), or changed; renamed if they differ."""

    old: Subject | None
    new: Subject | None
    changes: tuple[Change, ...] = ()
    note: str = ""
    """What the changes come to in one word: `loosened`."""

    @property
    def status(self) -> str:
        """`added`, `removed`, or `changed`."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    @property
    def subject(self) -> Subject:
        """What it is called, in the new spec if it is there."""
        subject = self.new or self.old
        assert subject is not None
        return subject


@dataclass(frozen=True, slots=True)
class Transport:
    """The layers whose forward weight an error depends on, and which of them is which in the other spec."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    introduced: tuple[str, ...]
    """Of `new`: those that did not before."""
    removed: tuple[str, ...]
    """Of `old`: those that do no longer."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One cost, at the batch of each spec."""

    name: str
    old: float
    new: float

    @property
    def percent(self) -> float | None:
        """The difference in percent of the old value; None if that is 0 and the new one is not."""
        if self.old == self.new:
            return 0.0
        return 100 * (self.new - self.old) / self.old if self.old else None


@dataclass(frozen=True, slots=True)
class Difference:
    """All of it. `sections` has every name of SECTIONS."""

    transport: Transport
    sections: Mapping[str, tuple[Item, ...]]
    batch: tuple[int, int]
    """At which the costs were counted."""
    costs: tuple[Figure, ...]
    told: Mapping[str, tuple[Item, ...]] = field(default_factory=dict)
    """Sections in which people read less than there is: what follows from a block that is repeated more often."""
    loud: Transport | None = None
    """What people read of the transport, if that is less."""
    copies: Mapping[str, int] = field(default_factory=dict)
    """How many copies blocks have, for names that stand for all of them."""
    status: str = "changed"
    """Of the whole spec. `added` and `removed` ones have nothing beside them: figures there are 0."""

    @property
    def same(self) -> bool:
        """Whether the two mean the same."""
        return self.status == "changed" and not any(self.sections.values())

    @property
    def shown(self) -> Mapping[str, tuple[Item, ...]]:
        """The sections that people read: of a spec that is new or gone, who learns from what."""
        if self.status == "changed":
            return {**self.sections, **self.told}
        return {name: self.sections[name] for name in ROUTING}
