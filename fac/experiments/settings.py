"""The settings of a report: runs of one spec, with what their folders say, how far they came and what they cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from fac.audit import Measured, dominance, reference, scale
from fac.checks import run_checks
from fac.diagnostics import Diagnostic, FacError, Severity, SpecError
from fac.experiments import ended
from fac.experiments.forms import Belonging
from fac.experiments.needs import needs_of
from fac.opening import SPEC as SPEC_FILE
from fac.opening import content, there
from fac.pipeline import load
from fac.program.lower import lower
from fac.program.program import Program
from fac.render.report import MARK, Audit, Limits, RunFacts, Setting
from fac.training import checkpoint, history
from fac.training.best import Judge
from fac.training.folder import OUTCOME, SPEC, STATE
from fac.training.history import History
from fac.training.logs import EpochRecord
from fac.training.outcome import RISEN

ABOUT = {
    "version": "fac",
    "backend": "backend",
    "device": "device",
    "precision": "precision",
    "threads": "threads",
    "samples": "training samples",
    "origin": "started from",
}
"""What checkpoints say of a run that a report shows, by what that is called there."""


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a run."""

    history: History
    about: Mapping[str, str]
    """What its checkpoint says; empty where there is none."""
    outcome: str = ""
    """Why it is over, if it did not come to its end."""
    over: bool = False
    """Whether it says itself that it is over."""
    warned: tuple[str, ...] = ()
    """What it says itself of its results."""
    audit: Measured | None = None
    """What was looked at in the trained network, if it was ..."""
    looked: tuple[str, ...] = ()
    """... and what is to be said of that."""


def read(path: Path, notes: list[str], belongs: Belonging | None = None) -> Run | None:
    """The run in a folder, None where it holds none; what is to be said of it goes to the notes.

    Args:
        path: of the folder.
        notes: what a reader must know.
        belongs: which run of a comparison it has to be.
    """
    try:
        found = history.read(path, early=True)
    except FacError as error:
        notes.append(f"{error}; it is left out")
        return None
    if found.damaged:
        lines = "line of its log is no record" if found.damaged == 1 else "lines of its log are no records"
        notes.append(f"`{path}`: {found.damaged} {lines}, as where a run was killed, and left out")
    about: Mapping[str, str] = {}
    if there(path / STATE):
        try:
            about = checkpoint.about(path)
        except FacError as error:
            notes.append(str(error))
    else:
        notes.append(f"`{path}` has no `{STATE}`: what it ran on is not known")
    if not found.spec:
        notes.append(f"`{path}`: without a spec that can be read it is no run of any other's setting")
    return _ended(Run(found, about), belongs, notes)


def _ended(run: Run, belongs: Belonging | None, notes: list[str]) -> Run | None:
    """The same with what it says of its end, and with its times, if these lie apart; None of another run."""
    path = run.history.path
    try:
        run = replace(run, history=replace(run.history, records=ended.timed(path, run.history.records)))
        found = ended.read(path, belongs)
    except ended.ForeignError as error:
        notes.append(f"{error}; it is left out")
        return None
    except FacError as error:
        notes.append(str(error))
        return run
    if found is None:
        if ended.stale(path):
            notes.append(
                f"`{path / OUTCOME}` is of an earlier state of this run, and left out: it has gone on since"
            )
        return run
    warned = (*(message for _, _, message in found.warned), *found.said)
    reached = max((record.epoch for record in found.history), default=0)
    over = found.report is None or found.report.epochs <= reached
    looked = tuple(message for _, _, message in found.looked)
    return Run(run.history, run.about, "diverged" * found.diverged, over, warned, found.audit, looked)


def setting(label: str, runs: Sequence[Run], notes: list[str]) -> Setting:
    """The setting of some runs; what is to be said of them goes to the notes."""
    first = runs[0].history
    program, findings, trouble = _checked(first.path)
    facts = tuple(_facts(run, program) for run in runs)
    whole = [run for run in facts if run.whole]
    if whole and len(whole) < len(facts):
        notes.append(
            f"`{label}`: {len(facts) - len(whole)} of {len(facts)} runs did not come to their end; results and curves "
            "are of the others"
        )
    elif not whole:
        notes.append(f"`{label}`: no run came to its end; results and curves are of where they stand")
    costs: dict[str, str] = {}
    made = Setting(label, first.rule, facts, _text(first.path), program, findings, trouble)
    notes += _repeated(made)
    notes += _likewise(f"{MARK} `{label}`", [(run.name, told) for run in facts for told in run.warned])
    names = zip((run.name for run in facts), runs, strict=True)
    notes += _likewise(f"audit: `{label}`", [(name, told) for name, run in names for told in run.looked])
    if program is not None and not any(f.rule.severity is Severity.ERROR for f in findings):
        costs = _costs(program)
    return replace(made, costs=costs)


def _likewise(start: str, told: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What is said of runs of a setting, once where it differs in its numbers alone: names in backticks are no such."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, line in told:
        parts = line.split("`")
        parts[::2] = (re.sub(r"\d[\d.,]*(e[+-]?\d+)?", "0", part) for part in parts[::2])
        found.setdefault("`".join(parts), []).append((name, line))
    for (name, line), *others in found.values():
        more = (
            f" ({', '.join(f'`{each}`' for each, _ in others)} likewise, with other numbers)"
            if others
            else ""
        )
        yield f"{start}, `{name}`: {line}{more}"


def _repeated(setting: Setting) -> Iterator[str]:
    """What is said of seeds that were run more than once: such runs tell nothing of how results vary."""
    for seed in dict.fromkeys(run.seed for run in setting.repeated):
        first = next(run for run in setting.counted if run.seed == seed)
        others = [f"`{run.name}`" for run in setting.repeated if run.seed == seed]
        yield (
            f"`{setting.label}`: {', '.join(others)} repeat{'s' * (len(others) == 1)} seed {seed} of `{first.name}`; "
            "results and curves are of the latter alone"
        )


def _checked(path: Path) -> tuple[Program | None, tuple[Diagnostic, ...], str]:
    try:
        program = lower(load(str(path / SPEC)))
        return program, tuple(run_checks(program)), ""
    except SpecError as error:
        return None, error.diagnostics, "its spec has errors here; a plug-in may be missing, see `--plugin`"
    except FacError as error:
        return None, (), str(error)


def _text(path: Path) -> str:
    try:
        return content(path / SPEC, SPEC_FILE, within=path).decode(errors="replace")
    except FacError:
        return ""


def _facts(run: Run, program: Program | None) -> RunFacts:
    rows = tuple(record.flat() for record in run.history.records)
    about = {told: run.about[key] for key, told in ABOUT.items() if key in run.about}
    state, whole = _state(run, program)
    best = None if program is None else Judge(program.spec.train, run.about).kept
    offered = None if best is None else best.epoch
    if offered is not None:
        state += f", offers epoch {offered}"
    warned = run.warned or tuple(_warned(run.history.records))
    return RunFacts(
        str(run.history.path),
        run.about.get("seed", ""),
        state,
        whole,
        rows,
        about,
        offered,
        warned,
        None if run.audit is None else _audit(run.audit),
    )


LIMITS = Limits(scale.THRESHOLD, reference.FLOOR, dominance.THRESHOLD)


def _audit(found: Measured) -> Audit:
    return Audit(found.scale, found.true, found.cosine, dominance.shares(found), found.stacked)


def _warned(records: Sequence[EpochRecord]) -> Iterator[str]:
    """What a log alone tells: that its last loss is none, or above that of the network before its first step."""
    if not records:
        return
    first, last = records[0], records[-1]
    for what, begin, end in (
        ("training", first.train_loss, last.train_loss),
        ("test", first.test_loss, last.test_loss),
    ):
        if not isfinite(end):
            yield f"the {what} loss of epoch {last.epoch} is not finite"
        elif first.epoch == 0 and end > RISEN * abs(begin):
            yield f"the {what} loss rose from {begin:.4g} before the first step to {end:.4g} in epoch {last.epoch}"


def _state(run: Run, program: Program | None) -> tuple[str, bool]:
    """How far a run came, and whether it came to its end."""
    records = run.history.records
    if run.outcome:
        return f"{run.outcome} after epoch {records[-1].epoch if records else 0}", False
    if not records:
        return "no epoch yet", False
    last = records[-1]
    if not isfinite(last.train_loss):
        return f"diverged in epoch {last.epoch}", False
    if program is None:
        return f"{last.epoch} epochs; how many were meant is not known", True
    meant = program.spec.train.epochs
    stopped = Judge(program.spec.train, run.about).over(last.epoch)
    if run.over or stopped or program.spec.solve is not None or last.epoch >= meant:
        return "complete", True
    return f"{last.epoch} of {meant} epochs", False


def _costs(program: Program) -> dict[str, str]:
    found = needs_of(program)
    ratio, macs, words = found.backward_ratio, found.backward_macs, found.words
    return {
        "backward multiply-adds": "–" if macs is None else f"{macs:,}",
        "of those of backprop": "–" if ratio is None else f"{ratio:.2f}",
        "feedback words": "–" if words is None else f"{words:,}",
        "weight transport": found.transport,
    }
