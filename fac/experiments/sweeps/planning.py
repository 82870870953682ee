"""What a sweep was meant to be: said before its first trial, checked at all ends of its space, and never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fac import asked
from fac.diagnostics import FacError
from fac.experiments import made_with, plan
from fac.experiments.comparing import Design
from fac.experiments.kept import require_empty
from fac.experiments.rules import OWN, fields_of
from fac.experiments.sealing import Count, Form, UnsoundError, digest, formed, plain
from fac.experiments.sweeps.spaces import Dimension, Point, assignments, corners, dimensions, grid
from fac.experiments.variants import Variant, settled, variants
from fac.opening import MANIFEST, content, there
from fac.pipeline import lowered
from fac.render.json_text import json_text
from fac.training.holding import alone_in
from fac.writing import write

if TYPE_CHECKING:
    from fac.source import Document

FILE = "sweep.json"
FORMAT = 1
SAMPLERS = ("tpe", "random")
RANK = "feedback.rank"


@dataclass(frozen=True, slots=True)
class SweepDesign:
    """What is to be searched for, beside the spec."""

    over: Mapping[str, str]
    """Values by path, see `spaces`."""
    rules: Sequence[str] = ()
    """As of `Design`; none searches for the settings of the spec's own feedback."""
    trials: int = 30
    """Of each rule."""
    sampler: str = SAMPLERS[0]
    seed: int = 0
    """Of the sampler."""
    prune: bool = True
    """Whether trials end early where others did better."""
    seeds: int = 3
    """Trainings of each rule with its best settings."""
    contrasts: Sequence[str] = ()
    """As of `Design`."""
    audit: bool = True
    """As of `Design`."""
    arms: Sequence[str] = ()
    """As of `Design`."""

    def __post_init__(self) -> None:
        """Raise FacError for what is of another kind, as Python may hand over."""
        if not isinstance(self.over, Mapping) or not all(
            isinstance(part, str) for item in self.over.items() for part in item
        ):
            raise asked.wrong("over", self.over, 'values by path, such as `{"update.lr": "log:0.001:0.1"}`')
        if type(self.trials) is not int or self.trials < 1:
            raise asked.wrong("trials", self.trials, "how many settings are tried for each rule, such as 30")
        if type(self.seed) is not int or self.seed < 0:
            raise asked.wrong("seed", self.seed, "the seed of the sampler, such as 0")
        if self.sampler not in SAMPLERS:
            raise asked.wrong("sampler", self.sampler, " or ".join(f"`{name}`" for name in SAMPLERS))
        asked.of(self.prune, bool, "prune", "`True` or `False`")
        Design(self.rules, (), self.seeds, self.contrasts, audit=self.audit)

    def compared(self, settings: Mapping[str, Sequence[str]], budget: str, rank: int | None = None) -> Design:
        """The comparison of rules with these settings.

        Args:
            settings: of each rule.
            budget: how they were found, in words.
            rank: what stands for one that is searched for.
        """
        ranked = any(rule != OWN and "rank" in fields_of(rule) for rule in settings)
        return Design(
            [*settings],
            () if rank is None or not ranked else (rank,),
            self.seeds,
            self.contrasts,
            settings=settings,
            budget=budget,
            audit=self.audit,
            arms=self.arms,
        )


@dataclass(frozen=True, slots=True)
class Searched:
    """A rule whose settings are searched for."""

    variant: Variant
    space: tuple[Dimension, ...]
    points: tuple[Point, ...] | None
    """All settings, if they are no more than are tried."""
    trials: int
    """How many are."""

    def at(self, point: Point) -> Variant:
        """With these settings."""
        return settled([self.variant], {self.variant.label: assignments(point)})[0]


@dataclass(frozen=True, slots=True)
class Rows:
    """All rules of a sweep."""

    rows: tuple[Searched, ...]
    rank: int | None
    """What stands for a rank that is searched for."""
    notes: tuple[str, ...] = field(default=())
    """What a reader must know."""


def planned(document: Document, design: SweepDesign) -> Rows:
    """The rules, each with the part of the space that it has.

    Raises:
        FacError: a rule is unknown, or nothing has a setting that is searched over.
        SpecError: settings at an end of the space are not valid.
    """
    space = dimensions(design.over)
    rules = tuple(dict.fromkeys(design.rules)) or (OWN,)
    swept = next((dimension for dimension in space if dimension.path == RANK), None)
    ranked = swept is not None and any(rule != OWN and "rank" in fields_of(rule) for rule in rules)
    rank = swept.values[0] if swept is not None and ranked else None
    if rank is not None and (type(rank) is not int or rank < 1):
        raise FacError(
            f"`--over {RANK}={design.over[RANK]}`: ranks are whole numbers from 1, such as `1,2,4,8`"
        )
    rows, notes = [], []
    for variant in variants([document], rules, () if rank is None else (rank,)):
        own = tuple(dimension for dimension in space if _has(variant.rule, dimension.path))
        points = grid(own, design.trials)
        trials = design.trials if points is None else len(points)
        rows.append(Searched(variant, own, None if points is None else tuple(points), trials))
        lacks = [f"`{dimension.path}`" for dimension in space if dimension not in own]
        if lacks:
            notes.append(f"`{variant.label}` has no {' and no '.join(lacks)}")
        if trials < design.trials:
            many = "1 setting" if trials == 1 else f"{trials} settings"
            notes.append(
                f"`{variant.label}` has {many} in all: each is tried once, instead of {design.trials} trials"
            )
    for dimension in space:
        if not any(dimension in row.space for row in rows):
            raise FacError(
                f"`--over {dimension.path}={design.over[dimension.path]}`: no rule here has `{dimension.path}`"
            )
    for row in rows:
        for corner in corners(row.space):
            lowered(row.at(corner).document)
    return Rows(tuple(rows), rank, tuple(notes))


def _has(rule: str, path: str) -> bool:
    """Whether a short-hand has that setting: where it replaces the feedback, others of `feedback` are gone."""
    section, _, name = path.partition(".")
    return rule == OWN or section != "feedback" or name.split(".")[0] in fields_of(rule)


@contextmanager
def holding(path: Path, meant: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Hold the folder of a sweep alone: a new one, or one that goes on. Gives it with the versions it began with.

    Args:
        path: of the folder.
        meant: what the sweep is, as JSON has it.

    Raises:
        FacError: it holds something else or another sweep, is in use, or cannot be written to.
    """
    with alone_in(path) as held:
        here = held.path
        if there(here / FILE):
            found = plan_of(here)
            plan.require_equal(found.meant, meant, here, "sweep")
            versions = found.versions
        else:
            require_empty(here, "sweep")
            versions = made_with.versions()
            flat = {"sweep": FORMAT, **meant, "versions": versions, "digest": digest(meant)}
            write(here / FILE, (json_text(flat, indent=1) + "\n").encode(), held.descriptor)
        yield here, versions


class SweepPlan(Form):
    """What the file holds."""

    sweep: Count
    versions: dict[str, str]
    digest: str
    meant: dict[str, Any]
    """All else, which is held against what a call says."""


def plan_of(folder: Path) -> SweepPlan:
    """What the sweep in a folder is.

    Raises:
        FacError: it has no plan, or one that nobody wrote here.
    """
    path = folder / FILE
    try:
        flat = plain(content(path, MANIFEST, within=folder))
        about = {key: flat.pop(key, None) for key in ("sweep", "versions", "digest")}
        found = formed({**about, "meant": flat}, SweepPlan)
        if found.sweep != FORMAT or found.digest != digest(flat):
            raise UnsoundError("it is of another version, or was changed after it was written, by its digest")
    except UnsoundError as error:
        raise FacError(
            f"`{path}` is not the plan of a sweep as `fac sweep` wrote it, {error}: bring back a copy of it, or give "
            "another folder to `--out`"
        ) from error
    return found
