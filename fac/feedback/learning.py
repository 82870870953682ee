"""The rule that changes nothing. Its model stands in `fac.spec.feedback`, because it is the default of others."""

from __future__ import annotations

from fac.program.kinds import LearningKind
from fac.spec.feedback import Fixed

FIXED = LearningKind("fixed", Fixed)
