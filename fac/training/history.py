"""What runs have left behind of their course: the lines of their logs, and the specs that they ran."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fac import source
from fac.diagnostics import FacError
from fac.opening import there
from fac.training.folder import METRICS, SPEC, STATE, logged
from fac.training.likeness import Likeness, likeness, placeless
from fac.training.logs import EpochRecord


@dataclass(frozen=True, slots=True)
class History:
    """A run, as far as it got."""

    path: Path
    spec: Mapping[str, Any]
    """As plain data, without the seed and the way to its data; empty where the folder has none that can be read."""
    records: tuple[EpochRecord, ...]
    damaged: int
    """Lines of the log that are no records."""
    likeness: Likeness
    """What tells it apart beside the spec."""

    @property
    def rule(self) -> str:
        """What brings its errors: the short-hand, `routes` where they are written out, or the rule that solves it.

        Empty where there is no spec.
        """
        if isinstance(solve := self.spec.get("solve"), Mapping):
            return str(solve.get("rule", ""))
        feedback = self.spec.get("feedback", {"rule": "bp"} if self.spec else None)
        if not isinstance(feedback, Mapping):
            return ""
        return str(feedback.get("rule", "routes"))


def read(folder: Path, *, early: bool = False) -> History:
    """The course of the run in a folder.

    Args:
        folder: of the run.
        early: whether one will do that has a state, and no record yet.

    Raises:
        FacError: the folder holds no log, or one without a record.
    """
    early = early and there(folder / STATE)
    if not there(folder / METRICS) and not early:
        raise FacError(_no_run(folder))
    found = logged(folder)
    records = tuple(record for record in found if record is not None)
    if not records and not early:
        raise FacError(f"`{folder / METRICS}` holds no record of an epoch: the run has not come so far")
    spec, data = _spec(folder)
    return History(folder, spec, records, len(found) - len(records), likeness(folder, data))


def groups(histories: Sequence[History]) -> list[list[History]]:
    """Runs of one setting together: of one spec, but for the seed, on the same data, and from the same start.

    One without a spec is by itself.
    """
    found: list[list[History]] = []
    for history in histories:
        group = next((group for group in found if history.spec and _alike(group[0], history)), None)
        if group is None:
            found.append([history])
        else:
            group.append(history)
    return found


def _alike(one: History, other: History) -> bool:
    return (
        one.spec == other.spec
        and one.likeness.one_start(other.likeness)
        and one.likeness.one_data(other.likeness)
    )


def labels(found: Sequence[Sequence[History]]) -> list[str]:
    """What tells groups of runs apart: the names of their specs, or else their settings, or else their folders."""
    known = [group for group in found if group[0].spec]
    if 0 < len(known) < len(found):
        named = iter(labels(known))
        told = [next(named) if group[0].spec else str(group[0].path) for group in found]
        return told if len(set(told)) == len(told) else [str(group[0].path) for group in found]
    names = [str(group[0].spec.get("name", "")) for group in found]
    if all(names) and len(set(names)) == len(names):
        return names
    if known:
        settings = [{**dict(_leaves(group[0].spec)), START: group[0].likeness.started} for group in found]
        for keys in _telling(settings):
            told = [_told(each, keys) for each in _rounded(settings, keys)]
            if 0 < len(keys) <= MOST and len(set(told)) == len(told):
                return told
    return [str(group[0].path) for group in found]


MOST = 3
"""Settings in one label."""
SECTION = "feedback."
RULE = f"{SECTION}rule"
START = "from"
"""What a run began with, beside the fields of its spec."""
KINDS = ("rule", "kind", "source")
"""The fields that say what the others of a section are about."""


def _rounded(settings: Sequence[Mapping[str, object]], keys: Sequence[str]) -> list[dict[str, object]]:
    """The settings with numbers of these keys in as many digits, two or more, as tell them apart."""
    found = [dict(each) for each in settings]
    for key in keys:
        numbers = {each[key] for each in found if isinstance(each.get(key), float)}
        digits = next((d for d in range(2, 17) if len({f"{n:.{d}g}" for n in numbers}) == len(numbers)), 17)
        for each in found:
            if isinstance(each.get(key), float):
                each[key] = f"{each[key]:.{digits}g}"
    return found


def _told(setting: Mapping[str, object], keys: Sequence[str]) -> str:
    """A setting by some of its fields; a rule is called by its name, and what is said of it stands behind that."""
    ruled = RULE in keys and RULE in setting
    words = []
    for key in keys:
        inside = ruled and key.startswith(SECTION)
        if key in setting:
            named = "" if key == RULE else f"{key.removeprefix(SECTION) if inside else key} "
            words.append(f"{named}{setting[key]}")
        elif not inside:
            words.append(f"no {key}")
    return ", ".join(words)


def _telling(settings: Sequence[Mapping[str, object]]) -> Iterator[list[str]]:
    """Settings in which specs differ: first without those that come with another rule or kind, then all."""
    keys = list(dict.fromkeys(key for each in settings for key in each))
    unlike = [key for key in keys if len({repr(each.get(key)) for each in settings}) > 1]
    heads = [key for key in unlike if key.rpartition(".")[2] in KINDS]
    above = {head: head.rpartition(".")[0] + "." for head in heads}
    yield [key for key in unlike if not any(key.startswith(above[head]) for head in heads if head != key)]
    yield unlike


def _leaves(data: object, path: str = "") -> Iterator[tuple[str, object]]:
    """What stands in plain data, by its path; items of a list by their names, if they have some."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, tuple):
        for i, value in enumerate(data):
            name = value.get("name", i) if isinstance(value, Mapping) else i
            yield from _leaves(value, f"{path}.{name}")
    else:
        yield path, data


def _spec(folder: Path) -> tuple[Mapping[str, Any], object]:
    """The spec without what does not count, and its `data:` section with it."""
    try:
        spec = dict(source.read(folder / SPEC, within=folder).data)
    except FacError:
        return {}, None
    train, data = spec.get("train"), spec.get("data")
    if isinstance(train, Mapping):
        spec["train"] = {key: value for key, value in train.items() if key != "seed"}
    if isinstance(data, Mapping):
        spec["data"] = placeless(folder, data)
    return spec, data


def _no_run(folder: Path) -> str:
    if not there(folder):
        return f"`{folder}` does not exist"
    if not os.path.isdir(folder):
        return f"`{folder}` is a file: name the folder of a run"
    inside = sorted(str(path.parent) for path in folder.glob(f"*/{METRICS}"))
    if inside:
        few = ", ".join(f"`{path}`" for path in inside[:3]) + (", ..." if len(inside) > 3 else "")
        return f"`{folder}` is no run, but holds some: name them, {few}"
    return f"`{folder}` holds no `{METRICS}`: name the folder of a run, as `fac train` makes it"
