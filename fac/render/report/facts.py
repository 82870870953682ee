"""What a report shows, as plain data: who reads folders fills it, and sections write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fac.render.plot.figure import Row, Stroke, Trial, strokes

if TYPE_CHECKING:
    from fac.diagnostics import Diagnostic
    from fac.program.program import Program


MARK = "!"
"""Behind what a note at the top says more of."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at in the trained network of a run, by layers, the lowest first. NaN where there is no number."""

    scale: Mapping[str, float]
    """Root mean square of what a hidden layer puts out over that of what it reads."""
    true: Mapping[str, float]
    """Norm of the true gradient of a weight that learns."""
    cosine: Mapping[str, float]
    """Of its routed gradient with the true one; NaN where that is not above the floor."""
    share: Mapping[str, float]
    """Of a layer in the cosine of all gradients."""
    stacked: float
    """That cosine."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on the audit says that something is wrong."""

    scale: float
    floor: float
    """Of the norm of a true gradient."""
    share: float


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run, as far as it got."""

    name: str
    """Its folder, as it was named."""
    seed: str
    """Empty where nobody knows."""
    state: str
    """`complete`, or how far it came and why."""
    whole: bool
    """Whether it came to its end."""
    rows: tuple[Row, ...]
    """The lines of its log."""
    about: Mapping[str, str] = field(default_factory=dict)
    """Of what it ran on, by words such as `backend`."""
    offered: int | None = None
    """The epoch whose state it offers, if that is not the last one."""
    warned: tuple[str, ...] = ()
    """Why its results are hardly some, in sentences."""
    audit: Audit | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What runs of one setting say of one measure, each at its end."""

    mean: float
    sd: float | None
    interval: tuple[float, float] | None
    """That of the mean, at 95 %."""
    runs: int
    """With a number."""


@dataclass(frozen=True, slots=True)
class Worst:
    """A sample with one of the highest losses."""

    number: int
    """From 0, in its part of the data."""
    loss: float
    about: str
    """What it is and what it was taken for."""
    png: bytes | None
    """Its picture, if it has numbers that make one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trained network does on test samples."""

    run: str
    samples: int
    means: Mapping[str, float]
    names: Sequence[str] = ()
    """Of the classes."""
    confusion: Sequence[Sequence[int]] = ()
    """By label and by what is named; empty where nothing is classified, or of very many classes."""
    classes: Sequence[Sequence[str]] = ()
    """A line of words for each class, those that are found least first, under `header`."""
    header: Sequence[str] = ()
    worst: Sequence[Worst] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """Runs that differ in their seeds alone."""

    label: str
    rule: str
    runs: tuple[RunFacts, ...]
    spec: str
    """The text that the first of them keeps."""
    program: Program | None
    """None where the spec cannot be read here."""
    findings: tuple[Diagnostic, ...]
    trouble: str = ""
    """Why there is no program."""
    results: Mapping[str, Result] = field(default_factory=dict)
    """By names of the log."""
    costs: Mapping[str, str] = field(default_factory=dict)
    """What a step needs, in words."""
    measured: Measured | None = None
    unmeasured: str = ""
    """Why there is none."""

    @property
    def counted(self) -> tuple[RunFacts, ...]:
        """The runs that came to their end, the first of each seed; if none did, those that have logged something."""
        logged = [run for run in self.runs if run.rows]
        whole = [run for run in logged if run.whole] or logged
        first = {run.seed or run.name: run for run in reversed(whole)}
        return tuple(run for run in whole if first[run.seed or run.name] is run)

    @property
    def repeated(self) -> tuple[RunFacts, ...]:
        """Runs that would count, but for another one of their seed that does."""
        counted = self.counted
        seeds = {run.seed for run in counted if run.seed}
        ended = any(run.whole for run in counted)
        return tuple(
            run
            for run in self.runs
            if run.rows and run.whole >= ended and run.seed in seeds and run not in counted
        )


@dataclass(frozen=True, slots=True)
class Table:
    """One that somebody else has made, such as the contrasts of a comparison."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SearchTrial:
    """A trial of a sweep, by what it came to on validation data."""

    rule: str
    number: int
    state: str
    """`complete`, `pruned` or `diverged`."""
    value: float | None
    """Of what the sweep is judged by; None where there is no number."""
    epochs: int
    settings: Mapping[str, bool | int | float | str | None]
    """By their paths."""


@dataclass(frozen=True, slots=True)
class Search:
    """A sweep: what it has searched for, and its trials."""

    path: str
    """Its folder, as it was named."""
    goal: str
    """What trials are judged by, as a column of the log: `validation_accuracy` or `validation_loss`."""
    over: Mapping[str, str]
    """Values by path, as they were asked for."""
    spaces: Mapping[str, Sequence[str]]
    """Of each rule the paths that it was searched over."""
    how: str
    """How many trials, and what drew them, in words."""
    trials: tuple[SearchTrial, ...]


@dataclass(frozen=True, slots=True)
class Book:
    """All of a report."""

    title: str
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]
    """What was left out, and what cannot be compared."""
    tables: tuple[Table, ...] = ()
    limits: Limits | None = None
    """Of the audit, where a run has one."""
    searches: tuple[Search, ...] = ()

    @property
    def trials(self) -> tuple[Trial, ...]:
        """What has curves."""
        return tuple(
            Trial(setting.label, tuple(run.rows for run in setting.counted), setting.rule)
            for setting in self.settings
            if setting.counted
        )

    @property
    def looks(self) -> Mapping[str, Stroke]:
        """How the lines of settings are drawn, wherever they are."""
        return strokes(self.trials) if self.trials else {}
