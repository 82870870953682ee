"""The folder of a sweep, to read what was searched for and what trials came to on validation data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.experiments.sealing import Form, UnsoundError, formed, plain
from fac.experiments.sweeps.planning import FILE, plan_of
from fac.experiments.sweeps.resulting import BEST, TRIALS
from fac.opening import MANIFEST, content, there
from fac.render.report import Search, SearchTrial

__all__ = ["BEST", "FILE", "read"]
Setting = bool | int | float | str | None


class _Plan(Form):
    """What is read of `sweep.json`."""

    goal: str
    over: dict[str, str]
    spaces: dict[str, list[str]]
    trials: int
    sampler: str
    seed: int
    prune: bool


class _Trial(Form):
    """A line of `trials.json`."""

    rule: str
    trial: int
    state: Literal["complete", "pruned", "diverged"]
    value: float | None
    epochs: int
    settings: dict[str, Setting]


class _Trials(Form):
    """What is read of `trials.json`."""

    plan: str = Field(max_length=64)
    trials: list[_Trial]


def read(folder: Path, notes: list[str]) -> Search:
    """What a sweep has searched for and found; what is missing goes to the notes.

    Args:
        folder: of the sweep.
        notes: what a reader must know.

    Raises:
        FacError: its plan cannot be read.
    """
    found = plan_of(folder)
    try:
        meant = formed(found.meant, _Plan)
    except UnsoundError as error:
        raise FacError(
            f"`{folder / FILE}` is not the plan of a sweep as `fac sweep` wrote it, {error}"
        ) from error
    trials = _trials(folder, found.digest, notes)
    if not there(folder / BEST):
        notes.append(
            f"`{folder}`: the best settings are not compared yet; the same call of `fac sweep` goes on"
        )
    how = f"{meant.trials} trials of each rule at most, drawn by `{meant.sampler}` with seed {meant.seed}"
    how += ", pruned by the median" if meant.prune else ", none of them pruned"
    return Search(str(folder), meant.goal, meant.over, meant.spaces, how, trials)


def _trials(folder: Path, digest: str, notes: list[str]) -> tuple[SearchTrial, ...]:
    path = folder / TRIALS
    if not there(path):
        notes.append(f"`{folder}` has no `{TRIALS}`: a call of `fac sweep` writes it when it ends")
        return ()
    try:
        found = formed(plain(content(path, MANIFEST, within=folder)), _Trials)
    except (UnsoundError, FacError) as error:
        told = (
            str(error) if isinstance(error, FacError) else f"`{path}` is not what `fac sweep` writes, {error}"
        )
        notes.append(f"{told}; trials are left out")
        return ()
    if found.plan != digest:
        notes.append(f"`{path}` is of another sweep than `{FILE}` beside it; trials are left out")
        return ()
    return tuple(
        SearchTrial(each.rule, each.trial, each.state, each.value, each.epochs, each.settings)
        for each in found.trials
    )
