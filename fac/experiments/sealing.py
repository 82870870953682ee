"""Files that a later call goes by: plain data with the digest of all of it, read back as what a model says they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from math import nan
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AllowInfNan, BaseModel, ConfigDict, Field, ValidationError

from fac.render.json_text import json_text

DIGEST = "digest"
DEEP = "its brackets lie too deep within each other"
F = TypeVar("F", bound="Form")

Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Seed = Annotated[int, Field(ge=0)]
Finite = Annotated[float, AllowInfNan(False)]
Number = Annotated[Finite | None, AfterValidator(lambda value: nan if value is None else value)]
"""A number as `json_text` writes it: null stands for what is none, and is NaN here."""


class Form(BaseModel):
    """What a file holds: nothing is taken for something else, as a text for a number."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class UnsoundError(ValueError):
    """Nobody here wrote that; the message says where."""


def digest(found: Any) -> str:
    """SHA-256 of plain data: 64 hexadecimal digits.

    Raises:
        UnsoundError: brackets lie too deep within each other.
    """
    try:
        text = json.dumps(found, sort_keys=True)
    except RecursionError as error:
        raise UnsoundError(DEEP) from error
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(found: Mapping[str, Any]) -> bytes:
    """The file of plain data."""
    plain = json.loads(json_text(found))
    return (json_text(plain | {DIGEST: digest(plain)}, indent=1) + "\n").encode()


def unsealed(text: bytes, form: type[F]) -> F:
    """What `sealed` was given.

    Raises:
        UnsoundError: nobody wrote that, or it was changed afterwards.
    """
    found = plain(text)
    given = found.pop(DIGEST, None)
    if given is None:
        raise UnsoundError("it has no digest, which earlier versions did not write")
    if given != digest(found):
        raise UnsoundError("it was changed after it was written, by its digest")
    return formed(found, form)


def plain(text: bytes) -> dict[str, Any]:
    """The JSON object that a file is.

    Raises:
        UnsoundError: it is none.
    """
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()  # no text has half of a pair of surrogates
    except (ValueError, RecursionError) as error:
        raise UnsoundError("it is no JSON") from error
    if not isinstance(found, dict):
        raise UnsoundError("it is no JSON object")
    return found


def formed(found: Mapping[str, Any], form: type[F]) -> F:
    """Plain data as what they have to be.

    Raises:
        UnsoundError: naming the first place at which they are something else.
    """
    try:
        return form.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise UnsoundError(f"`{place.removeprefix('.')}`: {first['msg'].lower()}") from error
    except RecursionError as error:
        raise UnsoundError(DEEP) from error
