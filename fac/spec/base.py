"""The ground under every section of the spec: a strict frozen model, and unions that plug-ins extend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, Tag, create_model
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, to_jsonable_python
from pydantic_core.core_schema import no_info_before_validator_function

from fac import plugins
from fac.diagnostics import FacError
from fac.spec.building import Built


class Model(BaseModel, metaclass=Built):
    """Strict (no coercion), frozen, and closed: a key that nobody reads is an error.

    Built when first used, because a union with installed kinds can only be built once they can be imported.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", populate_by_name=True, defer_build=True
    )

    other_keys: ClassVar[Mapping[str, str]] = {}
    """What other tools call its keys, in lower case: the key here, or where that would not mean the same, what to do.
    The tables of base classes count too."""
    other_kinds: ClassVar[Mapping[str, str]] = {}
    """What other tools call the kind, in lower case and without `_`: what to do, or nothing where it means the same."""
    whole: ClassVar[str] = "the spec"
    """What it is called where it is all of a file."""
    kind_wanted: ClassVar[str] = ""
    """What to write where no kind is named that there is, if not just any of them."""

    if not TYPE_CHECKING:  # who checks types is to see that nothing can be assigned

        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("_"):
                raise _unchanging(self, name)
            super().__setattr__(name, value)

        def __delattr__(self, name: str) -> None:
            raise _unchanging(self, name)


def _unchanging(model: Model, name: str) -> FacError:
    """What to do instead of an assignment: a model has been checked as a whole, and others may share it."""
    return FacError(
        f"`{name}` of a `{type(model).__name__}` cannot be changed, for a spec stays what it is: "
        '`fac.load(spec, {"update.lr": 0.1})` gives another one, and what trains takes `overrides={"update.lr": 0.1}`'
    )


FOLLOWS = "leave it out: it follows from what the layer reads"
"""Of a key that other tools need and that shapes decide here, see `Model.other_keys`."""


ACTIVATION = "write it as a layer of its own behind this one, such as `- {kind: relu}`"
"""Of the key by which other tools put an activation into a layer."""


BY_NAME = "a name"
"""The tag of kinds that are given by their names alone."""


@dataclass(frozen=True)
class OneOf:
    """`Annotated[Layer, OneOf("fac.layers")]`: any installed kind, told apart by its `kind` (or `rule`, `source`).

    The union is made when a model is first built, not on import, so that a family's module may import this one.
    """

    group: str
    discriminator: str = "kind"
    mixin: type[Model] | None = None
    """More fields, added to every member of the union."""
    named: bool = False
    """Whether the name of a kind alone stands for it, if all of its settings have defaults."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        members = {kind.name: self._member(kind.spec) for kind in plugins.kinds(self.group)}
        union: Any = Union[tuple(members.values())]  # noqa: UP007 - the members are known at run time only
        if self.named:
            union = self._with_names(members)
        elif len(members) > 1:
            union = Annotated[union, Field(discriminator=self.discriminator)]
        schema: Any = handler.generate_schema(union)
        schema["metadata"] = {**schema.get("metadata", {}), "fac.group": self.group}
        return schema if self.mixin is None else no_info_before_validator_function(self._plain, schema)

    def _with_names(self, members: Mapping[str, type[Model]]) -> Any:
        """The union with the names that say it all: a wrong value is reported once, not for each branch."""
        enough = [name for name, member in members.items() if _is_complete(member)]
        names: Any = Literal[tuple(enough)]
        branches: list[Any] = [Annotated[member, Tag(name)] for name, member in members.items()]

        def tag(value: Any) -> Any:
            if isinstance(value, str):
                return BY_NAME
            key = self.discriminator
            return value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)

        return Annotated[Union[(Annotated[names, Tag(BY_NAME)], *branches)], Discriminator(tag)]

    def _plain(self, value: Any) -> Any:
        """A kind built in Python lacks the fields of the mixin: what was set of it, as a mapping."""
        if not isinstance(value, Model) or isinstance(value, self.mixin or Model):
            return value
        tag = {self.discriminator: getattr(value, self.discriminator, None)}
        return tag | value.model_dump(by_alias=True, exclude_unset=True)

    def _member(self, spec: type[Model]) -> type[Model]:
        if self.mixin is None:
            return spec
        # A name of its own: the schema would tell two of one name apart by the modules that they stand in.
        name = f"{self.mixin.__name__}{spec.__name__}"
        return create_model(name, __base__=(spec, self.mixin), __doc__=spec.__doc__)


def written(value: Any) -> Any:
    """What a model says beyond its defaults, as JSON data.

    Equal for two texts of which one writes out what is the default of the other. A short form and the long one that
    it stands for are two texts: `from: a` and `from: [a]`, a layer without a name and one that has that name. A
    field that a later version adds, with a default, changes nothing here. The tags that tell kinds apart stay.
    """
    if isinstance(value, Model):
        fields = type(value).model_fields
        return {
            field.alias or name: written(getattr(value, name))
            for name, field in fields.items()
            if _is_tag(field) or not _at_default(value, name)
        }
    if isinstance(value, tuple | list):
        return [written(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): written(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        # Their own order differs from one process to the next.
        return sorted((written(item) for item in value), key=repr)
    return to_jsonable_python(value)


def dumped(value: Any, known: Any) -> Any:
    """All that a model says, as JSON data, but for fields at their defaults of which other such data knows nothing.

    Args:
        value: the model, or a part of one.
        known: what an earlier version dumped in that place.
    """
    if isinstance(value, Model) and isinstance(known, Mapping):
        named = ((field.alias or name, name) for name, field in type(value).model_fields.items())
        return {
            alias: dumped(getattr(value, name), known.get(alias))
            for alias, name in named
            if alias in known or not _at_default(value, name)
        }
    if isinstance(value, tuple | list) and isinstance(known, list) and len(value) == len(known):
        return [dumped(item, other) for item, other in zip(value, known, strict=True)]
    if isinstance(value, set | frozenset) and isinstance(known, list):
        return known if sorted(known, key=repr) == written(value) else written(value)
    return to_jsonable_python(value, by_alias=True)


def _at_default(model: Model, name: str) -> bool:
    """Whether a field has its default: that of the kind, or what its factory makes of the fields before it."""
    field, value = type(model).model_fields[name], getattr(model, name)
    before = {other: getattr(model, other) for other in type(model).model_fields}
    default = field.get_default(call_default_factory=True, validated_data=before)
    # True is no number here: `1` and `true` are two texts.
    return bool(value == default) and isinstance(value, bool) == isinstance(default, bool)


def _is_complete(model: type[Model]) -> bool:
    """Whether nothing has to be said beside its kind."""
    return not any(field.is_required() for field in model.model_fields.values())


def _is_tag(field: FieldInfo) -> bool:
    """Whether a field can have one value only, as `kind` and `rule` of an installed kind."""
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1


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
