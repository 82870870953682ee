"""What is demanded of every spec of a team, beside what the spec demands of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fac.spec.constraints import Constraints


@dataclass(frozen=True, slots=True)
class Policy:
    """Constraints from settings files, as if they stood in the spec. The tightest holds."""

    constraints: Constraints = field(default_factory=Constraints)
    files: Mapping[str, str] = field(default_factory=dict)
    """Which file asks for a constraint, by its key."""

    outer: Policy | None = None
    """What folders further up demand as well."""

    def __iter__(self) -> Iterator[Policy]:
        """Yield this one, and those further up."""
        policy: Policy | None = self
        while policy is not None:
            yield policy
            policy = policy.outer


NO_POLICY = Policy()
