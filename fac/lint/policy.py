"""Constraints of settings files joined into one policy, which nearer files can only tighten."""

from __future__ import annotations

from typing import Any

from fac.diagnostics import FacError
from fac.lint.reading import Found
from fac.program.policy import Policy
from fac.spec.constraints import Bound, Constraints, MemoryBound, tightens


def joined(chain: list[Found]) -> Policy:
    """The policy of a settings file and those that it extends.

    Args:
        chain: the nearest file first.

    Raises:
        FacError: a file allows what one that it extends forbids.
    """
    values: dict[str, Any] = {}
    files: dict[str, str] = {}
    for name, settings in reversed(chain):
        said = settings.constraints
        for key in (key for key in Constraints.model_fields if key in said.model_fields_set):
            value = getattr(said, key)
            if key in values and not tightens(value, values[key]):
                raise FacError(
                    f"`{name}`: `constraints.{key}` is {_written(value)}, "
                    f"looser than the {_written(values[key])} of `{files[key]}`: "
                    "a policy can only be tightened"
                )
            if key not in values or not tightens(values[key], value):
                values[key], files[key] = value, name
    return Policy(Constraints(**values), files)


def both(near: Policy, far: Policy) -> Policy:
    """Two policies that both hold: of each constraint the tighter value, of two lists what is on both."""
    values = {key: getattr(far.constraints, key) for key in far.files}
    files = dict(far.files)
    for key, file in near.files.items():
        value = getattr(near.constraints, key)
        if key in values and not tightens(value, values[key]):
            if not isinstance(value, tuple):
                continue
            value = tuple(name for name in value if name in values[key])
        values[key], files[key] = value, file
    return Policy(Constraints(**values), files)


def _written(value: Any) -> str:
    """A value as a settings file writes it."""
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`[{', '.join(value)}]`"
        case Bound() | MemoryBound():
            return f"`at_most = {value.at_most}`"
    return f"`{value}`"
