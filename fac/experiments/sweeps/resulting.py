"""What came of a sweep: its trials as files and as a table, and the comparison of the best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fac.escaping import visible
from fac.experiments.rows import MARK
from fac.experiments.sealing import digest
from fac.experiments.sweeps.spaces import Point, shown
from fac.experiments.sweeps.trying import Goal
from fac.render.columns import columns
from fac.render.json_text import json_text
from fac.render.tables import comma_separated
from fac.writing import write

if TYPE_CHECKING:
    from fac.experiments.comparison import Comparison
    from fac.experiments.sweeps.trials import Course

BEST = "best"
"""The folder of the comparison, as `fac compare --out` writes it."""
TRIED = "trials"
"""That of the trials, in which each rule has one."""
TRIALS = "trials.json"
"""What came of the trials, for programs."""
STATES = ("complete", "pruned", "diverged")


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Sweep:
    """What became of all trials."""

    path: Path
    """The folder that keeps it."""
    goal: Goal
    courses: tuple[Course, ...]
    """A search for each rule."""
    known: tuple[str, ...] = ()
    """What was known before the first trial."""
    comparison: Comparison | None = None
    """The rules with their best settings, with other seeds and on test data; None where trials are left to be made."""

    def __repr__(self) -> str:
        """How much it holds, and where; `table` has all of it."""
        rules = ", ".join(course.searched.variant.label for course in self.courses)
        return visible(f"<sweep of {rules}: {self.made} of {self.meant} trials, in {self.path}; see table()>")

    def with_comparison(self, found: Comparison) -> Sweep:
        """The same with what came of the best."""
        return replace(self, comparison=found)

    @property
    def made(self) -> int:
        """Trials that are over."""
        return sum(len(course.made) for course in self.courses)

    @property
    def meant(self) -> int:
        """Trials that were to be made."""
        return sum(course.searched.trials for course in self.courses)

    @property
    def best(self) -> dict[str, Point]:
        """The settings of the best trial by row; a row without a trial that came to its end has none."""
        return {
            course.searched.variant.label: course.point(number)
            for course in self.courses
            if (number := course.best) is not None
        }

    @property
    def trials(self) -> list[dict[str, Any]]:
        """Those that are over: `rule`, `trial`, `state`, `value`, `epochs`, `settings`, `problem`, `risen` of each."""
        return [trial for course in self.courses for trial in _trials(course)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the table must know."""
        said = [*self.known]
        for course in self.courses:
            label = course.searched.variant.label
            said += [f"`{label}` trial {number} failed: {why}" for number, why in course.failures.items()]
            if len(course.made) == course.searched.trials and course.best is None:
                said.append(f"`{label}` is not compared: none of its trials came to an end with a number")
            said += _about_best(label, course)
        if self.made < self.meant:
            said.append(f"{self.made} of {self.meant} trials were made")
        return tuple(said)

    def table(self) -> str:
        """Of each rule its trials and the best of them, and the comparison."""
        header = ("rule", "trials", *STATES, "risen", f"best {self.goal.name.replace('_', ' ')}", "settings")
        parts = [columns(header, [self._row(course) for course in self.courses])]
        parts += [f" {visible(note)}" for note in self.notes]
        if self.comparison is not None:
            parts += ["", self.comparison.table()]
        return "\n".join(parts)

    def _row(self, course: Course) -> tuple[str, ...]:
        states = [tried.state for tried in course.made.values()]
        best = course.best
        value = "–" if best is None else self.goal.text(course.made[best].value)
        risen = sum(bool(tried.risen) for tried in course.made.values())
        counts = (str(len(states)), *(str(states.count(state)) for state in STATES), str(risen))
        value += f" {MARK}" * (best is not None and course.made[best].risen != "")
        settings = "–" if best is None else shown(course.point(best))
        return (course.searched.variant.label, *counts, value, settings)

    def flat(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "goal": self.goal.name,
            "best": self.best,
            "trials": self.trials,
            "notes": self.notes,
            "comparison": None if self.comparison is None else self.comparison.flat(),
        }


def _about_best(label: str, course: Course) -> Iterator[str]:
    """What is to be known of the settings that were chosen."""
    best, over = course.best, course.passed_over
    if best is None:
        return
    if course.made[best].risen:
        yield f"{MARK} `{label}`: the loss rose in each trial that came to its end: search over smaller learning rates"
    if over is not None:
        scored = f"{course.goal.name.replace('_', ' ')} {course.goal.text(course.made[over].value)}"
        yield f"`{label}`: trial {over} ({shown(course.point(over))}) has {scored}, but its loss rose: passed over"
    for dimension in course.searched.space:
        value = course.point(best)[dimension.path]
        if end := dimension.end(value):
            yield (
                f"`{label}`: its best, {shown({dimension.path: value})}, lies at the {end} end of what is searched: a "
                "better one may lie beyond"
            )


def _trials(course: Course) -> list[dict[str, Any]]:
    return [
        {
            "rule": course.searched.variant.label,
            "trial": number,
            "state": tried.state,
            "value": tried.value,
            "epochs": tried.epochs,
            "settings": course.point(number),
            "problem": tried.problem or None,
            "risen": tried.risen or None,
        }
        for number, tried in sorted(course.made.items())
    ]


def write_trials(path: Path, courses: Sequence[Course], goal: Goal, meant: Mapping[str, Any]) -> None:
    """Write what came of all trials so far, as programs read it.

    Raises:
        FacError: a file cannot be written.
    """
    trials = [trial for course in courses for trial in _trials(course)]
    text = json_text({"plan": digest(meant), "goal": goal.name, "trials": trials}, indent=1) + "\n"
    write(path / TRIALS, text.encode())
    paths = [*dict.fromkeys(path for trial in trials for path in trial["settings"])]
    header = ("rule", "trial", "state", goal.name, "epochs", *paths, "problem", "risen")
    lines = [
        [
            *(trial[name] for name in ("rule", "trial", "state")),
            trial["value"] if trial["value"] == trial["value"] else None,
            trial["epochs"],
            *(trial["settings"].get(path) for path in paths),
            trial["problem"],
            trial["risen"],
        ]
        for trial in trials
    ]
    write(path / "trials.csv", comma_separated(header, lines).encode("utf-8", "backslashreplace"))
