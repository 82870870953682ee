"""`fac schema`: the JSON Schema by which editors complete and check a spec while it is written."""

from __future__ import annotations

import json
from typing import Any

import click

from fac.spec.model import ModelSpec


@click.command("schema")
def COMMAND() -> None:
    """Print the JSON Schema of the spec, with the kinds that are installed here."""
    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def schema() -> dict[str, Any]:
    """The JSON Schema of version 1 of the spec."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:fac:spec:v1",
        **ModelSpec.model_json_schema(by_alias=True),
        "title": "fac spec, version 1",
    }
