"""How a model is built in Python: lists where tuples are meant, findings where pydantic has errors of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from fac.diagnostics import SpecError, dotted, first, plain

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class Built(ModelMetaclass):
    """The metaclass of models. It sees calls of a class alone: what validates a whole spec passes it by."""

    if not TYPE_CHECKING:  # who checks types is to see the fields

        def __call__(cls, *args: Any, **fields: Any) -> Any:
            given = {_alias(cls, name): tupled(value) for name, value in fields.items()}
            if args:
                raise SpecError(_positional(cls, args), ())
            try:
                return super().__call__(**given)
            except ValidationError as error:
                raise _refused(cls, given, error) from None


def tupled(value: Any) -> Any:
    """Plain data with tuples in the place of lists, however deep; models stay as they are."""
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return tuple(map(tupled, value))
    if isinstance(value, Mapping):
        return {key: tupled(item) for key, item in value.items()}
    return value


def _plain(value: Any) -> Any:
    """What a text would say of it: errors name places in such data."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {_alias(type(value), name): _plain(getattr(value, name, None)) for name in fields}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _alias(model: type[BaseModel], name: str) -> str:
    """What a spec calls a field whose name is a word of Python, as `from` is."""
    field = model.model_fields.get(name)
    return name if field is None or field.alias is None else field.alias


def _positional(model: type[BaseModel], args: tuple[Any, ...]) -> str:
    """What to write where values stand without the names of their fields."""
    fields = [_alias(model, name) for name, field in model.model_fields.items() if field.is_required()]
    named = ", ".join(f"{name}=..." for name in (*fields, *map(str, model.model_fields))[: len(args)])
    return f"`{model.__name__}` takes its fields by name: write `{model.__name__}({named})`"


def _refused(model: type[BaseModel], given: Mapping[str, Any], error: ValidationError) -> SpecError:
    from fac.spec.errors import translate

    findings = translate(error, {name: _plain(value) for name, value in given.items()}, model)
    lines = [
        f"error[{found.rule.code}]: {model.__name__}"
        f"{f', {dotted(found.path)}' if found.path else ''}: {found.message}{f'; {found.help}' if found.help else ''}"
        for found in findings
    ]
    return SpecError("\n".join(map(plain, lines)), first(findings))
