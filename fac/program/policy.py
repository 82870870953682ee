"""What is demanded of every spec of a team, beside what the spec demands of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fac.spec.constraints import Constraints


@dataclass(frozen=True, slots=True)
class Policy:
    """Constraints from settings files, as if they stood in the spec. The tightest holds."""

    constraints: Constraints = field(default_factory=Constraints)
    files: Mapping[str, str] = field(default_factory=dict)
    """Which file asks for a constraint, by its key."""


NO_POLICY = Policy()
