"""What a sweep searches through: `update.lr=log:0.001:0.1` is one setting, with the values that it may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite, log, prod

from fac.diagnostics import FacError
from fac.source.plain import load

Value = float | int | str | bool | None
Point = Mapping[str, Value]
"""A value for each path."""
FORMS = "`log:0.001:0.1`, `lin:0:0.9`, `int:1:16`, or choices: `1,2,4,8`"
MOST = 32
"""Corners of a space that are all checked; of one with more, each value in one of them."""
NEAR = 0.05
"""What share of a range counts as its end."""
_DECIDE = ("data", "train.seed")
"""What decides on which samples a trial is judged, or how lucky it is."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One setting, and what it may be."""

    path: str
    """As of `--set`."""
    form: str
    """`log`, `lin`, `int` or `choice`."""
    values: tuple[Value, ...]
    """The lowest and the highest, both included, or all choices."""

    def end(self, value: Value) -> str:
        """`lower` or `upper` where a value lies at an end of what is searched, so that a better one may lie beyond.

        That is within `NEAR` of a range, on its scale; of choices it is the least or the greatest of three numbers or
        more. Empty elsewhere.
        """
        numbers = [float(each) for each in (*self.values, value) if type(each) is int or type(each) is float]
        if len(numbers) <= len(self.values) or (self.form == "choice" and len(self.values) < 3):
            return ""
        if self.form == "log":
            numbers = [log(number) for number in numbers]
        low, high, at = min(numbers[:-1]), max(numbers[:-1]), numbers[-1]
        reach = NEAR * (high - low) if self.form in ("log", "lin") else 0.0
        return "lower" if at <= low + reach else "upper" if at >= high - reach else ""

    @property
    def all(self) -> tuple[Value, ...] | None:
        """Each value, where they can be counted."""
        if self.form == "choice":
            return self.values
        if self.form == "int":
            low, high = self.values
            assert isinstance(low, int)
            assert isinstance(high, int)
            return tuple(range(low, high + 1)) if high - low < MOST else None
        return None


def dimensions(over: Mapping[str, str]) -> tuple[Dimension, ...]:
    """What `--over` says, by path.

    Raises:
        FacError: one is of no such form, or of a path that may not be searched over.
    """
    if not over:
        raise FacError(
            f"nothing to search over: add `--over PATH=VALUES`, such as `update.lr=log:0.001:0.1`; {FORMS}"
        )
    return tuple(_dimension(path.strip(), text.strip()) for path, text in over.items())


def _dimension(path: str, text: str) -> Dimension:
    shown = f"`--over {path}={text}`"
    if not all(path.split(".")):
        raise FacError(
            f"{shown} names no setting: write its path, such as `update.lr`, and its values: {FORMS}"
        )
    if any(path == place or path.startswith(f"{place}.") for place in _DECIDE):
        raise FacError(
            f"{shown}: trials are compared on the same validation samples and with the same seed, so these are "
            "not searched over"
        )
    form, colon, rest = text.partition(":")
    if not colon:
        return Dimension(path, "choice", _choices(text, shown))
    ends = rest.split(":") if form in ("log", "lin", "int") else text.split(":")
    form = form if form in ("log", "lin", "int") else "lin"
    found = [_number(end, whole=form == "int") for end in ends]
    if len(found) != 2 or None in found:
        numbers = "two whole numbers" if form == "int" else "two numbers"
        raise FacError(f"{shown} is not a range between {numbers}; values are {FORMS}")
    low, high = found
    assert low is not None
    assert high is not None
    if low >= high:
        raise FacError(f"{shown}: the first number of a range is the lower one")
    if form == "log" and low <= 0:
        raise FacError(f"{shown}: a range on a logarithmic scale begins above 0")
    return Dimension(path, form, (low, high))


def _choices(text: str, shown: str) -> tuple[Value, ...]:
    found: list[Value] = []
    for word in text.split(","):
        value, walk = load(word)
        if walk.diagnostics or not isinstance(value, str | int | float | bool | None) or not word.strip():
            raise FacError(f"{shown}: `{word}` is no number, word or truth value; values are {FORMS}")
        if any(value == other and type(value) is type(other) for other in found):
            raise FacError(f"{shown}: `{word.strip()}` stands there twice")
        found.append(value)
    return tuple(found)


def _number(text: str, *, whole: bool) -> float | int | None:
    try:
        found = int(text) if whole else float(text)
    except ValueError:
        return None
    return found if isfinite(found) else None


def corners(space: Sequence[Dimension]) -> Iterator[Point]:
    """Settings at the ends of a space, to be checked before any training: all, if there are no more than `MOST`."""
    paths = [dimension.path for dimension in space]
    if prod(len(dimension.values) for dimension in space) <= MOST:
        for values in product(*(dimension.values for dimension in space)):
            yield dict(zip(paths, values, strict=True))
        return
    first = {dimension.path: dimension.values[0] for dimension in space}
    yield first
    for dimension in space:
        for value in dimension.values[1:]:
            yield {**first, dimension.path: value}


def grid(space: Sequence[Dimension], most: int) -> list[Point] | None:
    """All settings of a space, if there are no more than so many."""
    values = [dimension.all for dimension in space]
    if any(each is None for each in values) or prod(len(each or ()) for each in values) > most:
        return None
    paths = [dimension.path for dimension in space]
    return [dict(zip(paths, point, strict=True)) for point in product(*(each or () for each in values))]


def assignments(point: Point) -> tuple[str, ...]:
    """A point as `--set` takes it."""
    return tuple(f"{path}={text(value)}" for path, value in point.items())


def text(value: Value) -> str:
    """A value as YAML reads it, with all its digits."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def shown(point: Point) -> str:
    """A point for people, four digits of each number."""
    words = (f"{p} {v:.4g}" if isinstance(v, float) else f"{p} {v}" for p, v in point.items())
    return ", ".join(words)
