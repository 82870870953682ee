"""Specs, sound or nearly so, from the JSON Schema of the models: a new kind is covered without a change here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from fac.spec.model import ModelSpec
from tests.fuzz.choices import Choices
from tests.fuzz.oddities import VALUES

NAMES = ("a", "b", "c", "d", "e", "f")
LAYER_WORDS = ("from", "tie", "to", "through", "at", "of", "nodes")
"""Keys whose text names a layer, or a glob of layers."""


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of a spec, with everything that is installed."""
    return ModelSpec.model_json_schema()


def spec(choices: Choices) -> dict[str, Any]:
    """A spec in plain data. One in three is meant to be sound; others hold values that are not what they should be."""
    return _Grammar(choices, wrong=(0, 60, 15)[choices.pick(3)]).root()


FORMS = (("input", "inputs"), ("loss", "losses"))
"""Sections of which a spec has one: the short form, and rarely the long one."""


class _Grammar:
    def __init__(self, choices: Choices, wrong: int) -> None:
        self.choices, self.wrong = choices, wrong
        self.layers: list[str] = []
        self.subspaces: list[str] = []

    def root(self) -> dict[str, Any]:
        made = self.mapping(schema(), ())
        assert isinstance(made, dict)
        return made

    def value(self, node: Mapping[str, Any], path: tuple[str, ...]) -> Any:
        """A value that the schema allows at this place, or once in a while another one."""
        if self.wrong and self.choices.rarely(self.wrong):
            return self.choices.one(VALUES)
        node = self.resolved(node)
        if "const" in node:
            return node["const"]
        if "enum" in node:
            return self.choices.one(node["enum"])
        for key in ("oneOf", "anyOf"):
            if key in node:
                if any(path in ((short,), (long,)) for short, long in FORMS):
                    node = {key: [one for one in node[key] if one.get("type") != "null"]}
                first = node[key][:1] if self.choices.pick(3) else node[key]
                return self.value(self.choices.one(first if path == ("layers",) else node[key]), path)
        match node.get("type"):
            case "object":
                return self.mapping(node, path)
            case "array":
                return self.array(node, path)
            case "string":
                return self.text(path)
            case "integer" | "number":
                found = self.number(node)
                # Repeats of repeats stay within the layers that blocks may stand for (see tests/test_limits.py).
                return 4 if path[-1:] == ("times",) and found == 64 else found
            case "boolean":
                return bool(self.choices.pick(2))
            case "null":
                return None
        return self.choices.one(VALUES)

    def mapping(self, node: Mapping[str, Any], path: tuple[str, ...]) -> Any:
        made: dict[str, Any] = {}
        required = node.get("required", ())
        chosen = [pair[self.choices.rarely(60)] for pair in FORMS] if not path else []
        for key, child in node.get("properties", {}).items():
            # What is optional is mostly left out: its default fits more often than what is drawn here.
            wanted = (
                key in required
                or "const" in child
                or self.choices.rarely(2 if key == "name" or not path else 5)
            )
            if not path and any(key in pair for pair in FORMS):
                wanted = key in chosen
            if wanted != self.strange():
                name = f"{key}s" if self.strange() else key
                made[name] = self.value(child, (*path, key))
        if isinstance(node.get("additionalProperties"), Mapping):
            for name in NAMES[: self.choices.pick(3)]:
                made[name] = self.value(node["additionalProperties"], (*path, name))
        if self.strange():
            made[self.choices.one(("", "zzz", "kind", "a b", "😀", "<<", "1"))] = self.choices.one(VALUES)
        return made

    def array(self, node: Mapping[str, Any], path: tuple[str, ...]) -> Any:
        count = self.choices.pick(4)
        if path == ("layers",):
            count += 1 + self.choices.pick(4)
        elif path == ("input", "shape"):
            count = 1 + self.choices.rarely(8)
        return tuple(self.value(node.get("items", {}), path) for _ in range(count))

    def text(self, path: tuple[str, ...]) -> str:
        key = path[-1] if path else ""
        if key == "name" and path[0] == "layers":
            unused = [name for name in NAMES if name not in self.layers] or list(NAMES)
            self.layers.append(NAMES[self.choices.pick(len(NAMES))] if self.strange() else unused[0])
            return self.layers[-1]
        if key == "name" and "subspaces" in path:
            self.subspaces.append(f"s{len(self.subspaces)}")
            return self.subspaces[-1]
        if key in LAYER_WORDS:
            # A layer has its name by now, and cannot read itself.
            above = self.layers[:-1] if path[0] == "layers" else self.layers
            known = [*reversed(above), "input" if path[0] == "layers" else "loss", "*", *self.subspaces]
            return (
                self.choices.one(["zzz", "a.weight", "[", ""]) if self.strange() else self.choices.one(known)
            )
        if key == "match":
            return self.choices.one(["*", "*.weight", "*.bias", "a.*", "*.feedback.*", "zzz"])
        return self.choices.one(["x", "fa", "random", "fixed", "x.npz", "", "a b", "é😀", "*"])

    def number(self, node: Mapping[str, Any]) -> Any:
        whole = node["type"] == "integer"
        known = [2, 3, 1, 4, 0, 64, -1] if whole else [0.1, 0.5, 1.0, 0.0, 2, 1e-3, 1e6, -0.5]
        fitting = [number for number in known if _fits(number, node)]
        return self.choices.one(fitting or [node.get("minimum", 1)])

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            node = schema()["$defs"][node["$ref"].rpartition("/")[2]]
        return node

    def strange(self) -> bool:
        return bool(self.wrong) and self.choices.rarely(self.wrong)


def _fits(number: float, node: Mapping[str, Any]) -> bool:
    least, most = node.get("minimum", number), node.get("maximum", number)
    above, below = node.get("exclusiveMinimum", number - 1), node.get("exclusiveMaximum", number + 1)
    return bool(least <= number <= most and above < number < below)
