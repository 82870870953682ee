"""What is no longer as it is locked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from fac.checks.locked import CHANGED_LOCK
from fac.diagnostics import Diagnostic, Path
from fac.lint.lock.facts import GROUPS, facts
from fac.program.program import Program

SHOWN = 4
"""How many changes one message tells of. `fac lock` writes all of them, for `git diff`."""


def differences(program: Program, locked: Mapping[str, Any], lock: str) -> Iterator[Diagnostic]:
    """One finding for each section of the spec, and one each for shapes, initial values and costs.

    Args:
        program: without findings of the severity `error`.
        locked: the facts of the experiment in the lock.
        lock: what the lock is called.
    """
    now = facts(program)
    changed: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(now.keys() | (locked.keys() - {"file"})):
        if (name in now, now.get(name)) != (name in locked, locked.get(name)):
            group, rest = name.split("/", 1)
            changed[group, rest.partition("/")[0] if group == "setting" else ""].append(rest)
    for group, what in GROUPS.items():
        for (one, _), names in changed.items():
            if one == group:
                told = [
                    _told(name, locked.get(f"{group}/{name}"), now.get(f"{group}/{name}")) for name in names
                ]
                more = f"; and {len(told) - SHOWN:,} more" if len(told) > SHOWN else ""
                yield CHANGED_LOCK.at(
                    _common(names) if group == "setting" else ("name",),
                    f"{what} of `{program.spec.name}` are not as in `{lock}`: {'; '.join(told[:SHOWN])}{more}",
                    help="if the change is meant, run `fac lock` on the specs that are locked",
                )


def _told(name: str, was: object, now: object) -> str:
    return f"`{name}` was {_short(was)} and is {_short(now)}"


def _short(value: object) -> str:
    if value is None:
        return "not there"
    text = (
        repr(list(value)) if isinstance(value, tuple) else f"{value:,}" if type(value) is int else str(value)
    )
    return text if len(text) <= 24 else f"{text[:15]}…"


def _common(names: list[str]) -> Path:
    """What the places of some settings have in common."""
    parts = zip(*(name.split("/") for name in names), strict=False)
    return tuple(part[0] for part in takewhile(lambda part: len(set(part)) == 1, parts))
