"""How lines look: a tone for each operator, a dash for each way to learn, a width that grows with the rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

from fac.render.graph.topology import Flowing, Link, Operator

TONES: Mapping[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "quiet": ("#636c76", "#9198a1"),
    "box": ("#f3f6fa", "#1a212b"),
    "grid": ("#e1e6eb", "#2b323b"),
    "edge": ("#57606a", "#8b949e"),
    "ice": ("#e3f1fb", "#15303f"),
    "alarm": ("#b3261e", "#ff7b72"),
    "value": ("#0072b2", "#56b4e9"),
    "random": ("#d55e00", "#e8833a"),
    "low_rank": ("#009e73", "#1db589"),
    "transpose": ("#cc79a7", "#cc79a7"),
    "identity": ("#e69f00", "#e69f00"),
    "subspace": ("#c08400", "#e69f00"),
    "other": ("#56b4e9", "#f0e442"),
    **{
        f"depth{i}": (colour, colour)
        for i, colour in enumerate(
            (
                "#3b2f8f",
                "#3d56b2",
                "#2f78b7",
                "#1f97ab",
                "#2bb28f",
                "#6cc466",
                "#b3c93f",
                "#e6b72e",
                "#f08a24",
            )
        )
    },
}
"""On light and on dark ground; `depth0` to `depth8` are a ramp, for what has an order. The colours of operators and
values are those that Okabe and Ito (2008) made for colour-blind readers."""

DASHES: Mapping[tuple[str, ...], str] = {
    (): "",
    ("fixed",): "6 4",
    ("fixed", "fixed"): "6 4",
    ("kolen_pollack",): "",
    ("oja",): "",
    ("oja", "kolen_pollack"): "",
    ("fixed", "kolen_pollack"): "14 4",
    ("local", "kolen_pollack"): "2 3",
    ("normative", "normative"): "14 3 2 3",
}
OTHER_DASH = "8 3 2 3 2 3"
THINNEST, WIDEST = 1.5, 6.0
GAP = 1.5
"""Between the two lines of a double one."""
SAMPLE = 3.0
"""Width of a double line in a legend."""


@dataclass(frozen=True, slots=True)
class Pen:
    """How a line is drawn."""

    tone: str
    width: float = 2.0
    """Of the ink: the two lines of a double one have half of it each."""
    dash: str = ""
    double: bool = False

    @property
    def total(self) -> float:
        """From one side of the line to the other."""
        return self.width + GAP if self.double else self.width


VALUE = Pen("value", 2.5)
EXACT = Pen("quiet", 1.25)
TRANSPOSED = Pen("ink", 1.75)
BUS = Pen("ink", 3.0)
UPDATE = Pen("quiet", 1.0)
TIE = Pen("ink", 1.25, "1.5 3")


def pen_of(link: Link) -> Pen:
    """The line of a link."""
    if link.operator is not None:
        return operator_pen(link.operator)
    if link.flowing is Flowing.EXACT:
        return TRANSPOSED if link.transposed else EXACT
    return VALUE if link.flowing is Flowing.VALUE else BUS


def operator_pen(operator: Operator) -> Pen:
    """The line of an operator: 1 + 3/4 log2(rank) wide, double if the rank is as large as its ends allow."""
    tone = operator.kind if operator.kind in TONES else "other"
    dash = DASHES.get(operator.learning, OTHER_DASH)
    if operator.rank is None:
        return Pen(tone, 2.0, dash)
    width = min(WIDEST, max(THINNEST, round(1 + 0.75 * log2(operator.rank[1]), 2)))
    return Pen(tone, width, dash, operator.whole)
