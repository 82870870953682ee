"""`fac schema`: the JSON Schema by which editors complete and check a spec while it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from fac.cli.output import pass_on
from fac.render.reference import page
from fac.spec.core_schema import DISCRIMINATORS
from fac.spec.model import ModelSpec


@click.command("schema")
@click.option("--markdown", is_flag=True, help="The same as a page to read: every key and every kind.")
def COMMAND(markdown: bool) -> None:
    """Print the JSON Schema of the spec, with the kinds that are installed here."""
    pass_on(page() if markdown else json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")


def schema() -> dict[str, Any]:
    """The JSON Schema of version 1 of the spec."""
    found = ModelSpec.model_json_schema(by_alias=True)
    models = found["$defs"]
    for members in _unions(found):
        _tell_apart([models[ref.rpartition("/")[2]] for member in members if (ref := member.get("$ref"))])
    for model in (found, *models.values()):
        for field in model.get("properties", {}).values():
            # Made of the key, which stands beside it anyway.
            field.pop("title", None)
            # The word that chooses a kind stands for all of it: an editor shows there what the kind is.
            if "const" in field and "description" in model:
                field.setdefault("description", model["description"])
            # And of a key that may be left out an editor shows what its value matches, not what stands beside that.
            models_of = [form for form in field.get("anyOf", ()) if "$ref" in form]
            if len(models_of) == 1 and "description" in field:
                models_of[0]["description"] = field["description"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:fac:spec:v1",
        **found,
        "title": "fac spec, version 1",
    }


def _unions(schema: Any) -> Iterator[list[dict[str, Any]]]:
    """What stands side by side in every union."""
    if isinstance(schema, dict):
        for key in ("anyOf", "oneOf"):
            if key in schema:
                yield schema[key]
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from _unions(inner)


def _tell_apart(members: list[dict[str, Any]]) -> None:
    """Require the key that tells the members of a union apart: a model has a default for it, `fac check` has not."""
    for key in DISCRIMINATORS:
        told = [model for model in members if "const" in model.get("properties", {}).get(key, {})]
        for model in told if len(told) > 1 else ():
            required = model.setdefault("required", [])
            if key not in required:
                required.insert(0, key)
