"""What a data source says of its samples, held against them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fac.backend import PRECISIONS
from fac.testing.case import require
from fac.training.dataset import DataKind, Dataset

BITS = {"float64": 52, "float32": 23}


def check_data(kind: DataKind[Any], data: Any, base: Path = Path()) -> None:
    """Load it, twice and in each precision.

    Args:
        kind: of the source.
        data: its settings.
        base: what relative paths start from.

    Raises:
        AssertionError: splits differ from one time to the next, arrays do not go together, numbers are not finite or
            less exact than asked for, or `facts` and `arrays` say something else.
    """
    for precision in PRECISIONS:
        first, again = (kind.load(data, base, precision) for _ in range(2))
        for split in first.splits:
            _split(kind, data, first, split, precision)
            for name, array in first.splits[split].arrays.items():
                same = np.array_equal(array, again.splits[split].arrays[name])
                require(
                    same, f"`{kind.name}` gives another `{name}` for {split} each time: a run could not go on"
                )
    if first.arranged is None:
        _facts(kind, data, first)


def _split(kind: DataKind[Any], data: Any, found: Dataset, split: str, precision: str) -> None:
    arrays = found.splits[split].arrays
    said = set(kind.arrays(data))
    require(
        found.arranged is not None or set(arrays) == said,
        f"`{kind.name}` says that its arrays are {sorted(said)}, and gives {sorted(arrays)}",
    )
    sizes = {name: len(array) for name, array in arrays.items()}
    require(
        len(set(sizes.values())) == 1 and min(sizes.values()) > 0,
        f"`{kind.name}` gives for {split} arrays of {sizes} samples",
    )
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            require(
                bool(np.isfinite(array).all()),
                f"`{kind.name}` gives an `{name}` for {split} that is not finite",
            )
            require(
                np.finfo(array.dtype).nmant >= BITS[precision],
                f"`{kind.name}` gives `{name}` as {array.dtype} where {precision} is asked for",
            )


def _facts(kind: DataKind[Any], data: Any, found: Dataset) -> None:
    facts, train = kind.facts(data), found.train.arrays
    if facts is None or {"x", "y"} - set(train):
        return
    x, y = found.train.x, found.train.y
    said = f"`{kind.name}` says by its `facts` that"
    require(
        facts.sample == x.shape[1:], f"{said} a sample has the shape {facts.sample}, and it is {x.shape[1:]}"
    )
    classes = y.dtype.kind in "iu"
    require(
        facts.classes == classes,
        f"{said} targets are {'' if facts.classes else 'no '}classes; they are {y.dtype}",
    )
    outputs = (
        int(max(part.y.max() for part in found.splits.values())) + 1 if classes else int(np.prod(y.shape[1:]))
    )
    fits = outputs <= facts.outputs if classes else outputs == facts.outputs
    require(
        fits,
        f"{said} there are {facts.outputs} {'classes' if classes else 'targets'}, and there are {outputs}",
    )
    require(
        facts.train in (None, len(x)), f"{said} {facts.train} samples are trained on, and there are {len(x)}"
    )
    if facts.within is not None:
        low, high = facts.within
        require(bool(low <= y.min() and y.max() <= high), f"{said} targets lie within {facts.within}")
    if facts.whole is not None:
        whole = x.dtype.kind in "iu" and int(x.min()) >= 0 and int(x.max()) < facts.whole
        require(whole, f"{said} x holds whole numbers below {facts.whole}")
