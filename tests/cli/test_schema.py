"""The published JSON Schema is the one of the models. `FAC_UPDATE_GOLDEN=1 pytest` writes it anew."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fac.cli.schema import COMMAND
from fac.feedback import RULES

ROOT = Path(__file__).parents[2]


def printed(*arguments: str) -> str:
    return CliRunner().invoke(COMMAND, arguments, catch_exceptions=False).stdout


@pytest.mark.parametrize(
    ("path", "arguments"), [("schemas/fac.v1.schema.json", ()), ("docs/spec.md", ("--markdown",))]
)
def test_what_is_committed_is_up_to_date(path: str, arguments: tuple[str, ...]) -> None:
    committed = ROOT / path
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        committed.write_text(printed(*arguments), "utf-8")
    assert committed.read_text("utf-8") == printed(*arguments)


def test_it_names_itself_and_knows_the_kinds() -> None:
    schema = json.loads(printed())
    assert schema["$id"] == "urn:fac:spec:v1"
    assert schema["title"] == "fac spec, version 1"
    assert schema["additionalProperties"] is False
    assert {"Linear", "Ldfa", "LowRank", "ToRoute"} <= schema["$defs"].keys()
    assert "from" in schema["$defs"]["ToRoute"]["properties"], "keys are those of the file"


def test_every_field_is_described() -> None:
    """Descriptions become hover texts. A reference has that of its model, and so has what tells kinds apart."""
    schema = json.loads(printed())
    models: dict[str, Any] = {"ModelSpec": schema, **schema["$defs"]}
    bare = [
        f"{name}.{key}"
        for name, model in models.items()
        for key, field in model.get("properties", {}).items()
        if not {"description", "$ref"} & field.keys() and key not in ("kind", "rule", "source")
    ]
    assert bare == []


def test_the_key_that_chooses_a_kind_is_required() -> None:
    """As `fac check` does, although the models have a default for it."""
    models = json.loads(printed())["$defs"]
    keys = ("kind", "rule", "source")
    told = {
        (name, key) for name, model in models.items() for key in keys if key in model.get("properties", {})
    }
    assert {("Relu", "kind"), ("Ldfa", "rule"), ("Cosine", "kind"), ("Digits", "source")} <= told
    assert {(name, key) for name, key in told if key not in models[name]["required"]} == set()


def test_no_field_has_a_title() -> None:
    """Editors would show it above the description: "Lr Scale"."""
    schema = json.loads(printed())
    fields = [
        field
        for model in (schema, *schema["$defs"].values())
        for field in model.get("properties", {}).values()
    ]
    assert [field for field in fields if "title" in field] == []


def test_allow_lists_take_the_names_of_kinds() -> None:
    fields = json.loads(printed())["$defs"]["Constraints"]["properties"]
    rules = fields["allowed_rules"]["anyOf"][0]["items"]["enum"]
    assert rules == [*(kind.name for kind in RULES), "routes"]
    assert "low_rank" in fields["allowed_matrices"]["anyOf"][0]["items"]["enum"]
    assert "oja" in fields["allowed_learning"]["anyOf"][0]["items"]["enum"]
