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
Columns = Mapping[str, tuple["Described", int]]
"""Of each column of a table, how many different numbers it has, too."""
LISTED = 30
"""Classes, or columns, of which each has its line."""
NUMBERS = ("min", "max", "mean", "sd", "missing")


def text(found: Found, by_column: Columns, counts: Counts, names: Sequence[str]) -> str:
    """Tables: of arrays, of the columns of a table, and of classes."""
    return "\n".join(_lines(found, by_column, counts, names))


def _lines(found: Found, by_column: Columns, counts: Counts, names: Sequence[str]) -> Iterator[str]:
    rows = [
        (part, name, str(list(of.shape)), of.dtype, *_numbers(of))
        for part, arrays in found.items()
        for name, of in arrays.items()
    ]
    yield columns(("split", "array", "shape", "type", *NUMBERS), rows)
    if by_column:
        yield ""
        named = [(name, *_numbers(of), f"{distinct:,}") for name, (of, distinct) in by_column.items()]
        yield columns(("column of train", *NUMBERS, "distinct"), named[:LISTED])
        if len(named) > LISTED:
            yield f" and {len(named) - LISTED:,} columns more"
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


def flat(found: Found, by_column: Columns, counts: Counts, names: Sequence[str]) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "splits": {
            part: {name: {"shape": of.shape, "dtype": of.dtype, **_plain(of)} for name, of in arrays.items()}
            for part, arrays in found.items()
        },
        "columns": [
            {"name": name, **_plain(of), "distinct": distinct} for name, (of, distinct) in by_column.items()
        ],
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


def _plain(of: Described) -> dict[str, float]:
    return dict(zip(NUMBERS, (of.least, of.most, of.mean, of.deviation, of.missing), strict=True))


def _numbers(of: Described) -> tuple[str, ...]:
    return (*map(_number, (of.least, of.most, of.mean, of.deviation)), f"{of.missing:,}")


def _number(value: float) -> str:
    return f"{value:.5g}" if isfinite(value) else "–"
