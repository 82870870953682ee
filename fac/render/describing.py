"""What there is in data, as tables for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from fac.render.columns import columns

if TYPE_CHECKING:
    from fac.training.describing import Described

Found = Mapping[str, Mapping[str, "Described"]]
"""Of each split each array."""
Counts = Mapping[str, Mapping[str, Mapping[int, int]]]
"""Of each array of labels, split by split, how often each is there."""
LISTED = 30
"""Classes of which each has its line."""


def text(found: Found, counts: Counts, names: Sequence[str]) -> str:
    """Tables: of arrays, and of classes."""
    return "\n".join(_lines(found, counts, names))


def _lines(found: Found, counts: Counts, names: Sequence[str]) -> Iterator[str]:
    rows = [
        (
            part,
            name,
            str(list(of.shape)),
            of.dtype,
            *(_number(value) for value in (of.least, of.most, of.mean, of.deviation)),
            f"{of.missing:,}",
        )
        for part, arrays in found.items()
        for name, of in arrays.items()
    ]
    yield columns(("split", "array", "shape", "type", "min", "max", "mean", "sd", "missing"), rows)
    for name, by_split in counts.items():
        labels = sorted({label for each in by_split.values() for label in each})
        yield ""
        table = [
            (_named(label, names), *(f"{by_split.get(part, {}).get(label, 0):,}" for part in found))
            for label in labels[:LISTED]
        ]
        yield columns((f"class of {name}", *found), table)
        if len(labels) > LISTED:
            yield f" and {len(labels) - LISTED:,} classes more"


def flat(found: Found, counts: Counts, names: Sequence[str]) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "splits": {
            part: {
                name: {
                    "shape": of.shape,
                    "dtype": of.dtype,
                    "min": of.least,
                    "max": of.most,
                    "mean": of.mean,
                    "sd": of.deviation,
                    "missing": of.missing,
                }
                for name, of in arrays.items()
            }
            for part, arrays in found.items()
        },
        "classes": {
            name: [
                {"class": label, "name": _named(label, names)}
                | {part: by_split.get(part, {}).get(label, 0) for part in found}
                for label in sorted({label for each in by_split.values() for label in each})
            ]
            for name, by_split in counts.items()
        },
    }


def _named(label: int, names: Sequence[str]) -> str:
    return names[label] if 0 <= label < len(names) else str(label)


def _number(value: float) -> str:
    return f"{value:.5g}" if isfinite(value) else "–"
