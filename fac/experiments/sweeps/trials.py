"""The trials of a sweep, as a queue: a rule's next round begins when all trials of the one before are over."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from re import sub
from typing import TYPE_CHECKING

from fac.diagnostics import FacError
from fac.experiments.forms import Belonging
from fac.experiments.queued import Work
from fac.experiments.rows import MARK
from fac.experiments.sweeps import trying
from fac.experiments.sweeps.resulting import TRIED
from fac.experiments.sweeps.searching import Drawn, Search
from fac.experiments.sweeps.spaces import Point, shown
from fac.experiments.sweeps.trying import RISEN, Goal, Tried

if TYPE_CHECKING:
    from fac.experiments.rows import Run
    from fac.experiments.sweeps.planning import Searched
    from fac.experiments.trainer import Trainer


@dataclass(slots=True)
class Course:
    """How far the search for a rule's settings is."""

    searched: Searched
    search: Search
    folder: Path
    goal: Goal
    seed: int
    """Of its trainings."""
    plan: str
    """The digest of that of the sweep."""
    tried: dict[int, Tried] = field(default_factory=dict)
    """Trials of rounds that are over."""
    found: dict[int, Tried] = field(default_factory=dict)
    """Those of this round."""
    waiting: deque[Drawn] = field(default_factory=deque)
    at_work: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    """Trials that could not be made in this call, and are tried again in the next."""

    def __post_init__(self) -> None:
        """Raise FacError where a trial is gone that is over."""
        for number in self.search.told:
            found = self.read(number)
            if found is None:
                raise FacError(
                    f"`{self.place(number)}`, a trial that is over, is gone: bring it back, or give another folder to "
                    "`--out`"
                )
            self.tried[number] = found

    def place(self, number: int) -> Path:
        """The folder of a trial."""
        return self.folder / f"{number:03}"

    def belongs(self, number: int) -> Belonging:
        """What a trial has to be."""
        return Belonging(plan=self.plan, row=self.searched.variant.label, seed=self.seed, trial=number)

    def read(self, number: int) -> Tried | None:
        """A trial, if it is over."""
        return trying.read(self.place(number), self.goal, self.belongs(number))

    @property
    def made(self) -> dict[int, Tried]:
        """All trials that are over."""
        return {**self.tried, **self.found}

    def point(self, number: int) -> Point:
        """The settings of a trial."""
        return self.search.point(number)

    @property
    def best(self) -> int | None:
        """The number of the trial with the best value of those that did not run away, of several the first.

        Only where all ran away it is one of these.
        """
        complete = {number: tried for number, tried in self.made.items() if tried.state == "complete"}
        calm = {number: tried for number, tried in complete.items() if not tried.risen}
        return self._highest(calm or complete)

    @property
    def passed_over(self) -> int | None:
        """The number of a trial that has a better value than the best, and ran away."""
        complete = {number: tried for number, tried in self.made.items() if tried.state == "complete"}
        first = self._highest(complete)
        if first is None or self.best is None or complete[first].value == complete[self.best].value:
            return None
        return first

    def _highest(self, tried: Mapping[int, Tried]) -> int | None:
        wanted = max if self.goal.direction == "maximize" else min
        return wanted(sorted(tried), key=lambda number: tried[number].value) if tried else None

    def turn(self) -> None:
        """Tell a round that is over, and begin the next one."""
        while not (self.waiting or self.at_work or self.failures):
            if self.found:
                self.search.tell(self.found)
                self.tried |= self.found
                self.found = {}
            drawn = self.search.round()
            if not drawn:
                return
            for each in drawn:
                found = self.read(each.number)
                if found is None:
                    self.waiting.append(each)
                else:
                    self.found[each.number] = found


class Trials:
    """See `Queue`: the rules take turns where one waits for its round to end."""

    def __init__(self, trainer: Trainer, courses: Sequence[Course], *, prune: bool) -> None:
        """All that is left of them."""
        self.trainer, self.courses, self.prune = trainer, courses, prune

    def next(self) -> Work | None:
        """See `Queue`."""
        for row, course in enumerate(self.courses):
            course.turn()
            if course.waiting:
                course.at_work += 1
                return self._work(row, course, course.waiting.popleft())
        return None

    def ended(self, work: Work, failure: Run | None) -> None:
        """See `Queue`."""
        course, number = self.courses[work.task[0]], work.task[1]
        course.at_work -= 1
        found = None
        if failure is not None:
            course.failures[number] = failure.problem
            result = f"failed: {failure.problem}"
        else:
            found = course.read(number)
            if found is None:
                return  # it was stopped
            course.found[number] = found
            result = told(found, course.goal)
        made = len(course.made) + len(course.failures)
        self.trainer.watch.tried(made, course.searched.trials, work.label, result)

    def _work(self, row: int, course: Course, drawn: Drawn) -> Work:
        document = course.searched.at(drawn.point).seeded(course.seed)
        others = [tried.curve for tried in course.tried.values() if tried.state == "complete"]
        make = partial(
            trying.make,
            document=document,
            path=course.place(drawn.number),
            belongs=course.belongs(drawn.number),
            goal=course.goal,
            others=others if self.prune else None,
        )
        label = f"{course.searched.variant.label}  {shown(drawn.point)}".strip()
        return Work((row, drawn.number), course.seed, label, make)


def told(tried: Tried, goal: Goal) -> str:
    """What came of a trial, in words."""
    if tried.state == "diverged":
        return f"diverged: {tried.problem}"
    value = f"{goal.name.replace('_', ' ')} {goal.text(tried.value)}"
    value += f"  {MARK} {RISEN}: {tried.risen}" if tried.risen else ""
    return value if tried.state == "complete" else f"pruned after epoch {tried.epochs} at {value}"


def folder(number: int, label: str) -> str:
    """The way from the folder of a sweep to that of the trials of a row: a name on every system."""
    return f"{TRIED}/{number:02}-{sub(r'[^A-Za-z0-9.-]+', '-', label).strip('-.')[:40] or 'row'}"
