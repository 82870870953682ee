"""A rule as somebody asks for it: its name, or `fa learn.rule=kolen_pollack`, with settings as `--set` has them."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from fac import plugins, source
from fac.diagnostics import FacError

OWN = "own"
"""Name of a spec's own feedback among rules, and of a row whose feedback is no rule with its default settings."""


def settings_of(rule: str, rank: Any) -> dict[str, Any]:
    """What it writes into `feedback:`.

    Args:
        rule: as it is asked for.
        rank: as plain data, in the place of that which it says; None leaves it.

    Raises:
        FacError: there is no such rule, or it has no such setting.
    """
    _, found = _read(rule)
    return found if rank is None else {**found, "rank": rank}


def fields_of(rule: str) -> Collection[str]:
    """The settings that the short-hand has, and that do not stand behind its name.

    Raises:
        FacError: see `settings_of`.
    """
    kind, found = _read(rule)
    return [field for field in kind.spec.model_fields if field == "rule" or field not in found]


def has_rank(rule: str) -> bool:
    """Whether it can be given one.

    Raises:
        FacError: see `settings_of`.
    """
    return "rank" in fields_of(rule)


def needs_rank(rule: str) -> bool:
    """Whether it has to be given one.

    Raises:
        FacError: see `settings_of`.
    """
    return has_rank(rule) and bool(_read(rule)[0].spec.model_fields["rank"].is_required())


def _read(rule: str) -> tuple[Any, dict[str, Any]]:
    name, *words = rule.split() or [rule]
    kinds = {kind.name: kind for kind in plugins.kinds("fac.rules")}
    if name not in kinds:
        names = ", ".join(f"`{known}`" for known in kinds)
        close = get_close_matches(name.lower().replace("-", "_"), [*kinds, OWN], 1)
        known = f"installed are {names}, and `{OWN}` is the spec's own feedback"
        raise FacError(f"no rule is called `{name}`; {f'did you mean `{close[0]}`?' if close else known}")
    fields = [field for field in kinds[name].spec.model_fields if field != "rule"]
    for word in words:
        if word in kinds:
            raise FacError(f"`{rule}`: write two rules with a comma between them, `{name},{word}`")
        field, equals, _ = word.partition("=")
        field = field.partition(".")[0]
        if not equals or field not in fields:
            close = get_close_matches(field, fields, 1)
            known = (
                f"did you mean `{close[0]}`?" if close else f"it has {', '.join(f'`{f}`' for f in fields)}"
            )
            raise FacError(
                f"`{rule}`: `{word}` is no setting of `{name}` with its value, such as `scale=2`; {known}"
            )
    return kinds[name], dict(source.override(source.from_data({"rule": name}), words).data)
