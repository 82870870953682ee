"""A reading view of pydantic's core schema: what is allowed at one place of a spec.

The annotations of a model do not show the unions that plug-ins extend (`OneOf`); the core schema does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

DISCRIMINATORS = ("kind", "rule", "source")
"""The keys by which kinds are told apart, see `OneOf`."""

_WORDS = {
    "bool": "`true` or `false`",
    "float": "a number",
    "int": "a whole number",
    "none": "nothing",
    "str": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "model-fields": "a mapping",
}

_MANY = {_WORDS["int"]: " whole numbers", _WORDS["float"]: " numbers", _WORDS["str"]: " texts"}

# Schemas that stand around another one without changing what a spec may say there.
_INNER = {
    "model": "schema",
    "default": "schema",
    "nullable": "schema",
    "function-before": "schema",
    "function-after": "schema",
    "function-wrap": "schema",
    "lax-or-strict": "strict_schema",
    "json-or-python": "python_schema",
}


@dataclass(frozen=True)
class Schema:
    """One node of a core schema, behind wrappers and references. The empty node allows who knows what."""

    node: Mapping[str, Any]
    definitions: dict[str, Any]
    optional: bool = False
    """Whether it stands at a key that may be left out."""
    model: type[pydantic.BaseModel] | None = None
    """Whose fields these are."""
    absent: bool = False
    """Whether that there is none is what it means to leave it out."""

    @classmethod
    def of(cls, model: type[pydantic.BaseModel]) -> Schema:
        """What `model` allows."""
        return cls({}, {})._at(model.__pydantic_core_schema__)

    @property
    def type(self) -> str:
        """The type of the node, such as `tagged-union`, `model-fields` or `int`; empty if unknown."""
        return str(self.node.get("type", ""))

    def unknown(self) -> Schema:
        """The empty node."""
        return Schema({}, self.definitions)

    def child(self, part: str | int) -> Schema:
        """What is allowed at a key or an index."""
        match self.type:
            case "model-fields":
                for name, field in self.node["fields"].items():
                    if part in (name, _alias(name, field)):
                        return self._at(field["schema"])
            case "dict" if "values_schema" in self.node:
                return self._at(self.node["values_schema"])
            case "list" if "items_schema" in self.node:
                return self._at(self.node["items_schema"])
            case "tuple" if isinstance(part, int):
                items, variadic = self.node["items_schema"], self.node.get("variadic_item_index")
                index = part if variadic is None else min(part, variadic)
                if index < len(items):
                    return self._at(items[index])
        return self.unknown()

    def choice(self, tag: str | int) -> Schema:
        """The member of a tagged union."""
        choices = self.node["choices"]
        return self._at(choices[tag]) if tag in choices else self.unknown()

    def tagged(self, key: str, tag: str) -> Schema:
        """The member that `{key: tag}` means, among all that is allowed."""
        members = (
            choice for leaf in self._leaves() if leaf.type == "tagged-union" for choice in leaf.choices()
        )
        return next((one for one in members if tag in map(str, one.child(key).literals())), self.unknown())

    def kinds(self) -> tuple[str, list[str]]:
        """The key that tells the members of a tagged union apart, and its values.

        Where a function tells them apart it mostly reads such a key; else the key is empty.
        """
        if isinstance(key := self.node["discriminator"], str):
            return key, [str(tag) for tag in self.node["choices"]]
        for key in DISCRIMINATORS:
            values = [v for choice in self.choices() for v in choice.child(key).literals()]
            if values:
                return key, values
        return "", []

    @property
    def extended(self) -> bool:
        """Whether plug-ins bring members, see `OneOf`."""
        return "fac.group" in self.node.get("metadata", {})

    def choices(self) -> list[Schema]:
        """The members of a union, with or without tags; else the node itself."""
        match self.type:
            case "tagged-union":
                return [self._at(choice) for choice in self.node["choices"].values()]
            case "union":
                return [self._at(c[0] if isinstance(c, tuple) else c) for c in self.node["choices"]]
        return [self]

    def length(self) -> int | None:
        """How many items a list has to have, each with a schema of its own; None if it may have any number."""
        fixed = self.type == "tuple" and self.node.get("variadic_item_index") is None
        return len(self.node["items_schema"]) if fixed else None

    def field_names(self) -> list[str]:
        """The keys of a model, as a spec writes them."""
        return [_alias(name, field) for name, field in self.node["fields"].items()]

    def other_keys(self) -> dict[str, str]:
        """`Model.other_keys` of a model and its bases."""
        bases = reversed(self.model.__mro__) if self.model else ()
        return {word: meant for base in bases for word, meant in vars(base).get("other_keys", {}).items()}

    def other_kinds(self) -> dict[str, tuple[str, str]]:
        """`Model.other_kinds` of the members of a union: the tag of the member, and what to do."""
        tags = self.kinds()[1] if self.type == "tagged-union" else []
        members = zip(tags, self.choices(), strict=False)
        tables = ((tag, getattr(member.model, "other_kinds", {})) for tag, member in members)
        return {word: (tag, remedy) for tag, table in tables for word, remedy in table.items()}

    def kind_wanted(self) -> str:
        """`Model.kind_wanted` of the members of a union."""
        return next(
            (said for member in self.choices() if (said := getattr(member.model, "kind_wanted", ""))), ""
        )

    def required(self) -> list[str]:
        """The keys of a model that have no default."""
        if self.type != "model-fields":
            return []
        fields = self.node["fields"].items()
        return [_alias(name, field) for name, field in fields if field["schema"]["type"] != "default"]

    def leading_fields(self) -> list[str]:
        """The required keys by which the members of a union can be told apart."""
        required = [choice.required() for choice in self.choices()]
        shared = set.intersection(*map(set, required))
        return list(dict.fromkeys(name for names in required for name in names if name not in shared))

    def literals(self) -> list[Any]:
        """All values that are allowed word by word."""
        return [value for leaf in self._leaves() if leaf.type == "literal" for value in leaf.node["expected"]]

    def forms(self) -> set[str]:
        """The types of value that are allowed."""
        return {leaf.type for leaf in self._leaves()}

    def named(self) -> list[tuple[str, list[str]]]:
        """The `kinds` of the tagged unions among what is allowed."""
        return [leaf.kinds() for leaf in self._leaves() if leaf.type == "tagged-union"]

    def describe(self) -> str:
        """What is allowed, in words: "a whole number or `all`"."""
        words = list(dict.fromkeys(word for leaf in self._leaves() for word in leaf._words()))
        if "a mapping" in words:  # says more than a mapping with this or that key
            words = [word for word in words if not word.startswith("a mapping with")]
        return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))

    def _words(self) -> list[str]:
        if self.type == "literal":
            return [f"`{str(v).lower() if isinstance(v, bool) else v}`" for v in self.node["expected"]]
        if self.type == "tagged-union":
            return [f"a mapping with `{self.kinds()[0]}`"]
        if (length := self.length()) is not None:
            items = {word for i in range(length) for word in self.child(i)._words()}
            of = _MANY.get(items.pop(), "") if len(items) == 1 else ""
            return [f"a list of {length}{of}"]
        return [_WORDS.get(self.type, "another value")]

    def _leaves(self) -> Iterator[Schema]:
        """The node, or the members of a union; a union that goes by one key counts as one form."""
        by_function = self.type == "tagged-union" and not isinstance(self.node["discriminator"], str)
        if self.type == "union" or by_function:
            for choice in self.choices():
                yield from choice._leaves()
        else:
            yield self

    def _at(self, node: Mapping[str, Any]) -> Schema:
        """The node below wrappers and references."""
        optional, absent, model = False, False, None
        while True:
            optional |= node["type"] == "default"
            absent |= node["type"] == "default" and node.get("default", optional) is None
            model = node["cls"] if node["type"] == "model" else model
            if node["type"] == "definitions":
                self.definitions.update({d["ref"]: d for d in node["definitions"]})
                node = node["schema"]
            elif node["type"] == "definition-ref":
                node = self.definitions[node["schema_ref"]]
            elif node["type"] == "chain":
                node = node["steps"][-1]
            elif node["type"] in _INNER:
                node = node[_INNER[node["type"]]]
            else:
                return Schema(node, self.definitions, optional, model, absent)


def _alias(name: str, field: Mapping[str, Any]) -> str:
    alias = field.get("validation_alias")
    return alias if isinstance(alias, str) else name
