"""How a learning rule of the spec is found, and the rule that changes nothing."""

from __future__ import annotations

from fac import plugins
from fac.program.kinds import LearningKind
from fac.program.reading import WEIGHT, lessons
from fac.spec.feedback import Fixed, Learning


def ways(rule: Learning) -> LearningKind:
    """What the kind that declared `rule` can teach."""
    kind: LearningKind = next(k for k in plugins.kinds("fac.learning") if isinstance(rule, k.spec))
    return kind


def makes_gradient(rule: Learning) -> bool:
    """Whether a rule makes pseudo-gradients, which the update rule turns into steps, rather than next values."""
    return any(lesson.gradient for lesson in lessons(rule).values())


def needs_weight(rule: Learning, part: str) -> bool:
    """Whether a rule teaches a matrix (`B`, `P` or `Q`) from the forward weight, which a `to` route does not have."""
    lesson = lessons(rule).get(part)
    return lesson is not None and WEIGHT in lesson.reads


FIXED = LearningKind("fixed", Fixed)
