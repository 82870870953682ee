"""What a spec leaves to its training data, such as class weights that balance: counted, and written into the spec.

From there on it is a spec with numbers: a run keeps it, and so whoever resumes, evaluates or exports has the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fac.diagnostics import FacError, Path, dotted
from fac.program.declared import unsettled
from fac.program.feeds import feeds, target
from fac.program.kinds import ShapeError
from fac.source import Document
from fac.training.agreement import fitted_anew
from fac.training.dataset import called

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Precision
    from fac.program.program import Objective, Program
    from fac.training.dataset import Dataset
    from fac.training.metadata import Kept

SHOWN = 10
"""Classes whose numbers a line tells."""


def settled(
    document: Document, program: Program, dataset: Dataset, precision: Precision, kept: Kept | None = None
) -> tuple[Document, tuple[str, ...]]:
    """The spec with numbers, and a line for each field that has got some.

    Args:
        document: the spec.
        program: of it.
        dataset: what a source loaded.
        precision: of the training.
        kept: of the data of the run that goes on, which says what classes are which; None of a new one.

    Raises:
        FacError: the data do not fit, or leave a field without numbers.
    """
    read = feeds(program)
    data, _ = fitted_anew(dataset, read, precision, kept, training=True)
    first = next((feed.name for feed in read if feed.loss is not None), "")
    lines = []
    for objective, field in unsettled(program):
        path, feed = (*objective.origin, field.field), target(program, objective)
        assert feed.classes is not None
        names = data.classes if feed.name == first else ()
        names = (*names, *map(str, range(len(names), feed.classes)))
        count = _counted(objective, data, feed.classes, feed.ignored, feed.name)
        try:
            value = field.settled(count, names)
        except ShapeError as error:
            help = f": {error.help}" if error.help else ""
            raise FacError(f"`{dotted(path)}` for {called(data, 'train')}: {error}{help}") from None
        told = f"{field.by} of `{dotted(path)}`, for {called(data, 'train')}"
        document = put(document, path, value, f"numbers in the place of {told}")
        lines.append(f"{told}: {_listed(names, value)}")
    return document, tuple(lines)


def put(document: Document, path: Path, value: object, why: str) -> Document:
    """A spec with another value at a path that it has, and what to say where the value was written."""
    return replace(
        document,
        data=_with(document.data, path, value),
        values={at: span for at, span in document.values.items() if at[: len(path)] != path},
        overridden={**document.overridden, path: why},
    )


def _counted(
    objective: Objective, data: Dataset, classes: int, ignored: int | None, name: str
) -> NDArray[np.int64]:
    """[C], how many labels to train on each class has, of those that count."""
    import numpy as np

    y = data.train.arrays[name]
    counts = np.full(y.shape, True) if ignored is None else y != ignored
    if objective.mask is not None:
        counts &= data.train.arrays[objective.mask] == 1
    return np.bincount(y[counts], minlength=classes)


def _with(node: Any, path: Path, value: object) -> Any:
    """A copy of plain data with a value at a path that it has."""
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(node, Mapping):
        return {**node, part: _with(node[part], rest, value)}
    return tuple(_with(item, rest, value) if at == part else item for at, item in enumerate(node))


def _listed(names: Sequence[str], value: Sequence[float]) -> str:
    shown = ", ".join(f"`{name}` {number:.4g}" for name, number in zip(names[:SHOWN], value, strict=False))
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
