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
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:fac:spec:v1",
        **ModelSpec.model_json_schema(by_alias=True),
        "title": "fac spec, version 1",
    }
