"""The ground under every section of the spec: a strict frozen model, and unions that plug-ins extend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Union

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_before_validator_function

from fac import plugins


class Model(BaseModel):
    """Strict (no coercion), frozen, and closed: a key that nobody reads is an error.

    Built when first used, because a union with installed kinds can only be built once they can be imported.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", populate_by_name=True, defer_build=True
    )


@dataclass(frozen=True)
class OneOf:
    """`Annotated[Layer, OneOf("fac.layers")]`: any installed kind, told apart by its `kind` (or `rule`, `source`).

    The union is made when a model is first built, not on import, so that a family's module may import this one.
    """

    group: str
    discriminator: str = "kind"
    mixin: type[Model] | None = None
    """More fields, added to every member of the union."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        specs: list[type[Model]] = [kind.spec for kind in plugins.kinds(self.group)]
        members = tuple(self._member(spec) for spec in specs)
        union: Any = Union[members]  # noqa: UP007 - the members are known at run time only
        if len(members) > 1:
            union = Annotated[union, Field(discriminator=self.discriminator)]
        schema = handler.generate_schema(union)
        return schema if self.mixin is None else no_info_before_validator_function(self._plain, schema)

    def _plain(self, value: Any) -> Any:
        """A kind built in Python lacks the fields of the mixin: what was set of it, as a mapping."""
        if not isinstance(value, Model) or isinstance(value, self.mixin or Model):
            return value
        tag = {self.discriminator: getattr(value, self.discriminator, None)}
        return tag | value.model_dump(by_alias=True, exclude_unset=True)

    def _member(self, spec: type[Model]) -> type[Model]:
        if self.mixin is None:
            return spec
        return create_model(spec.__name__, __base__=(spec, self.mixin), __doc__=spec.__doc__)


def by_key(**members: type[Model]) -> Discriminator:
    """What tells models apart of which each has a key that the others lack; the tags are these keys."""

    def tag(value: Any) -> str | None:
        if isinstance(value, dict):
            return next((key for key in members if key in value), None)
        # What is no member at all is refused in the same words by each.
        return next(
            (key for key, member in members.items() if isinstance(value, member)), next(iter(members))
        )

    return Discriminator(tag)
