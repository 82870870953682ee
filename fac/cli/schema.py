"""`fac schema`: the JSON Schema by which editors complete and check a spec while it is written."""

from __future__ import annotations

import json
from typing import Any

import click

from fac.render.reference import page
from fac.spec.model import ModelSpec


@click.command("schema")
@click.option("--markdown", is_flag=True, help="The same as a page to read: every key and every kind.")
def COMMAND(markdown: bool) -> None:
    """Print the JSON Schema of the spec, with the kinds that are installed here."""
    click.echo(page() if markdown else json.dumps(schema(), indent=2, ensure_ascii=False), nl=not markdown)


def schema() -> dict[str, Any]:
    """The JSON Schema of version 1 of the spec."""
    found = ModelSpec.model_json_schema(by_alias=True)
    for model in found["$defs"].values():
        for field in model.get("properties", {}).values():
            # The word that chooses a kind stands for all of it: an editor shows there what the kind is.
            if "const" in field and "description" in model:
                field.setdefault("description", model["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:fac:spec:v1",
        **found,
        "title": "fac spec, version 1",
    }
