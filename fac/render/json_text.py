"""Numbers and texts as JSON has them: every report and log is written here, so that any parser reads each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from fac.escaping import sound


def json_text(value: Any, indent: int | None = None) -> str:
    """Plain data as JSON. NaN and infinities, for which JSON has no words, become null, wherever they are."""
    return json.dumps(_known(value), allow_nan=False, indent=indent)


def _known(value: Any) -> Any:
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {_known(key): _known(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return value
