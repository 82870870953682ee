"""What a team wants to hold for its specs, in a spec or in a policy for all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from fac import plugins
from fac.spec.base import Model
from fac.spec.train import Positive

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
AMOUNT = rf"^\d+(\.\d+)? ?({'|'.join(UNITS)})$"


def _amount(text: str) -> str:
    if not re.match(AMOUNT, text):
        raise ValueError(f"`{text}` is not an amount of memory, such as `256 MiB`")
    return text


Amount = Annotated[str, AfterValidator(_amount), WithJsonSchema({"type": "string", "pattern": AMOUNT})]


@dataclass(frozen=True)
class NameOf:
    """`Annotated[str, NameOf("fac.rules", "feedback rule")]`: the name of an installed kind, looked up when read."""

    group: str
    what: str
    """What one of them is called."""
    also: tuple[str, ...] = ()
    """More names that mean something here."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return {"type": "string", "enum": self._names()}

    def _names(self) -> list[str]:
        return [*(kind.name for kind in plugins.kinds(self.group)), *self.also]

    def _known(self, name: str) -> str:
        names = self._names()
        if name not in names:
            raise PydanticCustomError("unknown_name", "unknown name", {"what": self.what, "names": names})
        return name


WRITTEN_OUT = "routes"
"""What `allowed_rules` calls routes that are written out."""

RuleName = Annotated[str, NameOf("fac.rules", "feedback rule", (WRITTEN_OUT,))]
MatrixName = Annotated[str, NameOf("fac.feedback", "feedback operator")]
LearningName = Annotated[str, NameOf("fac.learning", "learning rule")]


class Bound(Model):
    """The most that a figure may be."""

    at_most: Annotated[float, Field(gt=0)] = Field(description="The most that is allowed.")


class MemoryBound(Model):
    """The most memory that may be needed at once."""

    at_most: Positive | Amount = Field(description="Bytes, or text such as `256 MiB`.")

    @property
    def bytes(self) -> float:
        """The bound as a number."""
        if isinstance(self.at_most, int):
            return self.at_most
        number, unit = re.findall(r"[\d.]+|[A-Za-z]+", self.at_most)
        return float(number) * UNITS[unit]


class Constraints(Model):
    """What a team wants to hold for its specs. `fac check` reports what does not."""

    no_weight_transport: bool = Field(False, description="No error may pass through a forward weight.")
    max_rank: Positive | None = Field(None, description="Largest rank of a feedback matrix or subspace.")
    single_error_source: bool = Field(
        False, description="No layer may learn from a sum of errors that a route takes part in."
    )
    max_skip: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="How many layers with weights a `to` route may pass over; from the next one it is 0.",
    )
    allowed_rules: tuple[RuleName, ...] | None = Field(
        None, description="Feedback rules that may be used; `routes` stands for routes written out."
    )
    allowed_matrices: tuple[MatrixName, ...] | None = Field(
        None, description="Feedback operators that may be used, also by a rule."
    )
    allowed_learning: tuple[LearningName, ...] | None = Field(
        None, description="Learning rules of feedback that may be used, also by a rule."
    )
    backward_macs_vs_backprop: Bound | None = Field(
        None, description="Multiply-adds of the backward pass against backprop on the same network."
    )
    backward_macs: Bound | None = Field(
        None, description="Multiply-adds of the backward pass in one step, at the batch of the spec."
    )
    peak_memory: MemoryBound | None = Field(
        None, description="Memory that one step needs at once, at the batch of the spec, in float32."
    )


def amount(size: float) -> str:
    """Bytes in the unit that reads best: `1.5 MiB`."""
    unit = next((u for u in ("GiB", "MiB", "KiB") if size >= UNITS[u]), "B")
    return f"{size / UNITS[unit]:.4g} {unit}"


def slack(value: Any) -> float:
    """How much a constraint leaves room for: less is tighter. Lists of names are not compared by this."""
    match value:
        case bool():
            return not value
        case Bound():
            return value.at_most
        case MemoryBound():
            return value.bytes
        case int():
            return value
    return 0


def tightens(near: Any, far: Any) -> bool:
    """Whether all that the value `near` of a constraint allows is allowed by `far`, too."""
    if isinstance(near, tuple) and isinstance(far, tuple):
        return set(near) <= set(far)
    return slack(near) <= slack(far)
