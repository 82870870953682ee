"""What a benchmark is made of: rules, and tasks on which they are held against each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fac.diagnostics import FacError
from fac.studies.model import Claim


@dataclass(frozen=True, slots=True)
class Task:
    """One network on one data set."""

    title: str
    spec: str
    """A file of the folder of the study. Its `data:` holds samples out for validation."""
    over: Mapping[str, str]
    """What is searched through for each rule, as `--over` of `fac sweep` says it: values by path."""
    trials: int
    """Of each rule."""
    seeds: int
    """Trainings of each rule with its best settings."""
    changes: Sequence[str] = ()
    """Of the spec, as `--set` takes them."""
    rules: Sequence[str] = ()
    """Those of the benchmark that are compared here; none is all of them that `without` does not name."""
    without: Mapping[str, str] = field(default_factory=dict)
    """Rules that mean nothing here, and why."""
    claims: Sequence[Claim] = ()
    """About `test_accuracy` of the rows."""
    says: str = ""
    """What a reader has to know of the network and of the data, in a few sentences."""

    @property
    def folder(self) -> str:
        """What the folder of its sweep is called: the title in small letters, digits and dashes."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")[:80] or "task"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What a folder's `study.py` calls `STUDY` if it holds rules against each other."""

    title: str
    source: str
    """What the rules and the networks are, and where they come from."""
    rules: Mapping[str, str]
    """As `--rules` takes them, each with a sentence that says what it is."""
    tasks: Callable[[bool], Sequence[Task]]
    """`tasks(short)`: all of them, or the form of a few seconds, whose claims hold too."""

    def compared(self, task: Task) -> tuple[str, ...]:
        """The rules that a task compares.

        Raises:
            FacError: it names one that the benchmark does not have, or one both ways.
        """
        for rule in (*task.rules, *task.without):
            if rule not in self.rules:
                known = ", ".join(f"`{name}`" for name in self.rules)
                raise FacError(
                    f"`{task.title}` names `{rule}`, which the study does not have: it has {known}"
                )
        both = [rule for rule in task.rules if rule in task.without]
        if both:
            raise FacError(f"`{task.title}` compares `{both[0]}`, and says that it means nothing there")
        return tuple(rule for rule in task.rules or self.rules if rule not in task.without)
