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
