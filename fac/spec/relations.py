"""What keys of a model say of each other, as JSON Schema: editors then refuse what its validators refuse."""

from __future__ import annotations

from typing import Any

NOTHING = {"type": "null"}


def said(key: str) -> dict[str, Any]:
    """The key is there, and with something."""
    return {"required": [key], "properties": {key: {"not": NOTHING}}}


def either(many: str, one: str) -> dict[str, Any]:
    """One of two keys, not both: with `many` there is nothing left for `one` to say, and without it is needed."""
    return {"if": said(many), "then": {"properties": {one: NOTHING}}, "else": said(one)}


def true_without(flag: str, other: str) -> dict[str, Any]:
    """What is flagged has no such key."""
    on = {"required": [flag], "properties": {flag: {"const": True}}}
    return {"if": on, "then": {"properties": {other: NOTHING}}}


def kept_with(key: str, **defaults: str) -> dict[str, Any]:
    """With the key other ones keep their defaults: it says what they would."""
    return {
        "if": said(key),
        "then": {"properties": {other: {"const": value} for other, value in defaults.items()}},
    }
