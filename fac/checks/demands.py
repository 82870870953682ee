"""Who demands what: constraints of the spec, and those of the policy that holds for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fac.diagnostics import Path
from fac.program.program import Program
from fac.spec.constraints import slack


@dataclass(frozen=True, slots=True)
class Demand:
    """One constraint that is set."""

    key: str
    value: Any
    file: str = ""
    """The policy that asks for it; empty if the spec does."""

    @property
    def named(self) -> str:
        """`` `max_rank` ``, with the file that asks for it."""
        return f"`{self.key}`{self.where}"

    @property
    def where(self) -> str:
        """The words that name the policy; empty for a constraint of the spec."""
        return f" in `{self.file}`" if self.file else ""

    def place(self, program: Program, *below: str, otherwise: Path = ("layers",)) -> Path:
        """What a finding about the whole spec points at: the constraint, or what it is about in the spec."""
        if not self.file:
            return ("constraints", self.key, *below)
        return ("feedback",) if "feedback" in program.spec.model_fields_set else otherwise


def demands(program: Program, key: str) -> list[Demand]:
    """The constraint of that name as the spec and its policies set it; the tightest first."""
    found = [Demand(key, getattr(program.spec.constraints, key))]
    found += [Demand(key, getattr(p.constraints, key), p.files.get(key, "")) for p in program.policy]
    return sorted(
        (d for d in found if d.value is not None and d.value is not False), key=lambda d: slack(d.value)
    )


def demand(program: Program, key: str) -> Demand | None:
    """The tightest of them."""
    return next(iter(demands(program, key)), None)
