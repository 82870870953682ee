"""How much each class counts: numbers, or what becomes numbers once the training labels are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from fac.program.kinds import ShapeError, Unsettled
from fac.spec.words import close, one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIELD = "weight"
Weight = Annotated[float, Field(ge=0)]
Weights = (
    tuple[Weight, ...] | Literal["balanced"] | Annotated[Mapping[str, Weight], Field(min_length=1)] | None
)


def unsettled(weights: Weights) -> Unsettled | None:
    """What is still to be counted; None of numbers in the order of the classes, and of none."""
    if weights is None or isinstance(weights, tuple):
        return None
    if isinstance(weights, str):
        return Unsettled(FIELD, "`balanced`", balanced)
    return Unsettled(FIELD, "names of classes", lambda count, names: by_name(weights, names))


def numbers(weights: Weights, classes: int) -> tuple[float, ...]:
    """A weight for each class. Until they are settled all are 1, which makes the same ops."""
    return weights if isinstance(weights, tuple) else (1.0,) * classes


def balanced(count: NDArray[Any], names: Sequence[str]) -> tuple[float, ...]:
    """n / (C n_c), so that each class has the same part in the sum over all n labels, and the mean weight is 1.

    Args:
        count: [C], the n_c.
        names: what the classes are called.

    Raises:
        ShapeError: of a class there is no label.
    """
    missing = [name for name, n in zip(names, count.tolist(), strict=True) if n == 0]
    if missing:
        raise ShapeError(
            f"no sample to train on is of class `{missing[0]}`, so that `balanced` has no weight for it",
            "write numbers, or leave out the outputs of classes that never come",
        )
    n, classes = int(count.sum()), len(count)
    return tuple(n / (classes * each) for each in count.tolist())


def by_name(weights: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    """What is given for each name, and 1 where nothing is.

    Raises:
        ShapeError: a name is of no class, or all weights are 0.
    """
    for name in weights:
        if name not in names:
            near = close(name, names)
            hint = f"did you mean `{near}`?" if near else one_of("there are", list(names))
            raise ShapeError(f"no class is called `{name}`", hint)
    found = tuple(weights.get(name, 1.0) for name in names)
    if not any(found):
        raise ShapeError("all class weights are 0, so nothing is learned", "give a class a weight above 0")
    return found


def misfit(weights: Weights, classes: int) -> ShapeError | None:
    """Weights of another number of classes, or all zero."""
    if weights is None or isinstance(weights, str):
        return None
    named = isinstance(weights, Mapping)
    if len(weights) > classes if named else len(weights) != classes:
        one = f"no more than {classes}" if named else f"{classes} weights, one for each class"
        return ShapeError(
            f"there are {len(weights)} class weights, and the network has {classes} outputs",
            f"write {one}",
            FIELD,
        )
    given = weights.values() if isinstance(weights, Mapping) else weights
    if len(weights) == classes and not any(given):
        return ShapeError(
            "all class weights are 0, so nothing is learned", "give a class a weight above 0", FIELD
        )
    return None
