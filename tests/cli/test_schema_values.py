"""The published schema and `fac` agree on values: of specs that are right, and of sizes, a number or a pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fac import pipeline, source

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas/fac.v1.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
GOOD = [
    *sorted(ROOT.glob("examples/*.fac.yaml")),
    # A folder with a plug-in has kinds that the published schema has not.
    *(file for file in sorted(ROOT.glob("tests/checks/*/good.yaml")) if not (file.parent / "site").exists()),
]
WRONG: tuple[Any, ...] = (
    [2],
    [1, 2, 3],
    [1, "a"],
    [1.5, 1],
    [],
    "a",
    1.5,
    True,
    {"h": 1},
    [[1, 1]],
    -1,
    [1, -1],
)


def pairs() -> list[tuple[str, str]]:
    """(model, key) of all settings that the schema lets be a whole number or two of them."""
    found = []
    for name, model in SCHEMA["$defs"].items():
        for key, field in model.get("properties", {}).items():
            forms = field.get("anyOf", ())
            if any(len(form.get("prefixItems", ())) == 2 for form in forms) and "integer" in {
                form.get("type") for form in forms
            }:
                found.append((name, key))
    return found


def spec(name: str, key: str, value: Any) -> dict[str, Any]:
    """A layer with what it needs, all of it 1, but for the one value."""
    model = SCHEMA["$defs"][name]
    needed = dict.fromkeys(model["required"], 1) | {"kind": model["properties"]["kind"]["const"]}
    return {
        "fac": 1,
        "name": "maps",
        "input": {"shape": [2, 9, 9]},
        "layers": [
            {**needed, key: value},
            {"kind": "flatten"},
            {"kind": "linear", "out": 3},
        ],
        "loss": {"kind": "cross_entropy"},
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 0.1},
    }


def accepted(data: dict[str, Any]) -> tuple[bool, bool]:
    """By the schema, and by `fac`, whatever shapes make of it."""
    return VALIDATOR.is_valid(data), pipeline.parse(source.from_data(data))[0] is not None


@pytest.mark.parametrize("file", GOOD, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_good_specs_are_valid(file: Path) -> None:
    data = json.loads(json.dumps(source.read(file).data))
    assert [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(data)] == []


def test_layers_of_maps_have_sizes() -> None:
    assert {("Conv2d", "kernel"), ("Conv2d", "padding"), ("MaxPool2d", "stride")} <= set(pairs())


INPUT, LOSS = {"shape": [4]}, {"kind": "mse"}
SEVERAL = {
    "input": ("inputs", INPUT, {"one": INPUT}),
    "loss": ("losses", LOSS, [LOSS]),
}


@pytest.mark.parametrize("key", SEVERAL)
def test_either_one_or_several(key: str) -> None:
    """What is null is not there; both is refused, and neither."""
    many, one, more = SEVERAL[key]
    given = {
        "fac": 1,
        "name": "x",
        "input": INPUT,
        "layers": [{"kind": "linear", "out": 3}],
        "loss": LOSS,
        "update": {"rule": "sgd", "lr": 0.1},
    }
    rest = {k: v for k, v in given.items() if k != key}
    for first, second, right in (
        ({key: one}, {}, True),
        ({}, {many: more}, True),
        ({key: one}, {many: None}, True),
        ({key: None}, {many: more}, True),
        ({}, {}, False),
        ({key: None}, {many: None}, False),
        ({key: one}, {many: more}, False),
    ):
        data = rest | first | second
        findings = [d for d in pipeline.check(source.from_data(data)) if d.rule.severity.value == "error"]
        assert (VALIDATOR.is_valid(data), not findings) == (right, right), data


def test_a_mask_has_no_classes() -> None:
    for of, right in (
        ({"mask": True}, True),
        ({"classes": 3}, True),
        ({"mask": False, "classes": 3}, True),
        ({"mask": True, "classes": None}, True),
        ({"mask": True, "classes": 3}, False),
    ):
        data = spec("Relu", "name", "a") | {"input": {"shape": [2, 9, 9], **of}}
        assert accepted(data) == (right, right), of


@pytest.mark.parametrize(("name", "key"), pairs())
def test_a_size_is_a_number_or_a_pair(name: str, key: str) -> None:
    right: tuple[Any, ...] = (2, [2, 1])
    for value in (*right, *WRONG):
        assert accepted(spec(name, key, value)) == (value in right, value in right), value
