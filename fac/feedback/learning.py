"""How a learning rule of the spec is found, and the rule that changes nothing."""

from __future__ import annotations

from fac import plugins
from fac.program.kinds import LearningKind
from fac.spec.feedback import Fixed, Learning


def ways(rule: Learning) -> LearningKind:
    """What the kind that declared `rule` can teach."""
    kind: LearningKind = next(k for k in plugins.kinds("fac.learning") if isinstance(rule, k.spec))
    return kind


FIXED = LearningKind("fixed", Fixed)
