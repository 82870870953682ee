"""`json`: everything, ungrouped, under keys that stay."""

from __future__ import annotations

from typing import Any

from fac.render.diff.difference import Change, Difference, Item, Subject


def as_json(difference: Difference) -> dict[str, Any]:
    """Plain data; docs/diff.md says what the keys mean."""
    transport = difference.transport

    def pair(old: float, new: float) -> dict[str, Any]:
        return {
            "old": None if difference.status == "added" else old,
            "new": None if difference.status == "removed" else new,
        }

    changed = difference.status == "changed"
    costs = {
        of.name: pair(of.old, of.new) | {"percent": of.percent if changed else None}
        for of in difference.costs
    }
    return {
        "same": difference.same,
        "weight_transport": {
            "old": list(transport.old),
            "new": list(transport.new),
            "introduced": list(transport.introduced),
            "removed": list(transport.removed),
        },
        **{name: [_item(item) for item in items] for name, items in difference.sections.items()},
        "cost": {"batch": pair(*difference.batch), **costs},
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "status": item.status,
        "old": _subject(item.old),
        "new": _subject(item.new),
        "note": item.note or None,
        "changes": [_change(change) for change in item.changes],
    }


def _subject(subject: Subject | None) -> dict[str, str] | None:
    return None if subject is None else dict(subject.words)


def _change(change: Change) -> dict[str, Any]:
    return {"field": change.field, "old": change.old, "new": change.new}
