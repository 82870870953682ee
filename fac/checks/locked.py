"""FAC112, FAC113: what `fac check --locked` finds (`fac.lint.lock`). Their pages stand in `fac.checks.text`."""

from __future__ import annotations

from fac.diagnostics import Rule

CHANGED_LOCK = Rule("FAC112", "changed-lock")
UNMATCHED_LOCK = Rule("FAC113", "unmatched-lock")
RULES = (CHANGED_LOCK, UNMATCHED_LOCK)
