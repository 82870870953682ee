"""What was measured, as one JSON file: of every contender the seconds of every round, so that any ratio can be made."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fac.diagnostics import FacError
from fac.opening import LOG, content, there
from fac.tuning.rounds import ratios
from fac.writing import require_writable

FORMAT = 1
BASELINE, DEFAULTS = "eager, same flags", "eager, default flags"
"""Backpropagation by eager torch: what all are compared with, and torch as it comes."""


class _Kept(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="forbid")


Seconds = list[float]


class _Clocked(_Kept):
    seconds: Seconds = Field(min_length=1)
    """Of one step, in each round."""


class Timed(_Clocked):
    """One contender."""

    rule: str
    memory: float | None
    """MiB at the peak of a process of its own, above what the same code takes on a tiny network."""
    deviation: float
    """From its oracle, see `deviation`."""


class Floor(_Clocked):
    """Of the step of one rule."""

    macs: int
    bytes: int
    """Beside products."""


class Measured(_Kept):
    """One case."""

    says: str
    command: str
    """That measured it."""
    steps: int
    """In a turn."""
    products: str
    """How a session of fac has float32 products computed, as `torch.set_float32_matmul_precision` takes it."""
    timed: dict[str, Timed]
    floors: dict[str, Floor]
    """By rule."""
    feedback: dict[str, str] = {}
    """By rule the `feedback` section of its spec, as JSON, where it says more: its rank, how it learns."""
    left: dict[str, str]
    """Who was not timed, whose floor or peak there is not, and why."""

    @model_validator(mode="after")
    def _of_one_run(self) -> Measured:
        clocked: list[_Clocked] = [*self.timed.values(), *self.floors.values()]
        if len({len(each.seconds) for each in clocked}) > 1:
            raise ValueError("contenders of one case have as many rounds")
        if any(second <= 0 for each in clocked for second in each.seconds):
            raise ValueError("seconds are above zero")
        return self

    @property
    def rounds(self) -> int:
        """How many there were; 0 where nobody could be timed."""
        return max((len(each.seconds) for each in self.timed.values()), default=0)

    def gains(self, name: str, base: str = BASELINE) -> Seconds | None:
        """How many times faster than another a contender was, in each round; None where one of them is not there."""
        if name not in self.timed or base not in self.timed:
            return None
        return ratios(self.timed[base].seconds, self.timed[name].seconds)

    def above(self, name: str) -> Seconds | None:
        """How many times as long as the floor of its rule it took."""
        one = self.timed[name]
        floor = self.floors.get(one.rule)
        return None if floor is None else ratios(one.seconds, floor.seconds)


class Results(_Kept):
    """One run of `fac bench`."""

    format: int = FORMAT
    machine: dict[str, str]
    """Processor, and versions of packages."""
    threads: int
    clock: str
    cases: dict[str, Measured]


def require_place(path: Path, results: Results) -> Results:
    """What a file will hold: the cases that stand in it stay, if they were measured alike.

    Args:
        path: where it will be written.
        results: of the run that begins.

    Raises:
        FacError: it is no such file, or of another machine, version or number of threads; or nothing can be written.
    """
    if path.suffix != ".json":
        raise FacError(f"`{path}` has to end in `.json`: the page and its picture are written beside it")
    require_writable(path)
    if not there(path):
        return results
    before = read(path)
    for name in ("machine", "threads", "clock"):
        if getattr(before, name) != getattr(results, name):
            raise FacError(
                f"`{path}` was measured with another `{name}` than this run has: give another name, or remove it"
            )
    return results.model_copy(update={"cases": before.cases})


def text(results: Results) -> str:
    """As the file has it; seconds to a tenth of a microsecond."""
    data = results.model_dump(mode="json")
    for case in data["cases"].values():
        for each in (*case["timed"].values(), *case["floors"].values()):
            each["seconds"] = [round(second, 7) for second in each["seconds"]]
    return json.dumps(data, indent=1) + "\n"


def read(path: Path) -> Results:
    """A file that `fac bench --out` wrote.

    Raises:
        FacError: it is none.
    """
    raw = content(path, LOG, named=True)
    try:
        found = Results.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise FacError(
            f"`{path}` is no file of `fac bench --out`: {place + ': ' if place else ''}{first['msg']}"
        ) from error
    if found.format != FORMAT:
        raise FacError(
            f"`{path}` has format {found.format}, and this version of fac reads {FORMAT}: measure anew"
        )
    return found
