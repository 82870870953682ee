"""Which kind of picture a file is to be: what all that draw have in common."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fac.diagnostics import FacError

STDOUT = "-"


def picture_kind(output: str, kind: str | None, formats: Sequence[str], *, option: bool = True) -> str:
    """Which kind of picture is asked for: the one that is named, or that of the suffix.

    Args:
        output: the file.
        kind: that is named.
        formats: there are.
        option: whether the command has `--format`, which names one.

    Raises:
        FacError: there is no such kind, or nothing says which.
    """
    known = ", ".join(f"`{name}`" for name in formats)
    if kind is not None:
        if kind not in formats:
            raise FacError(f"no kind of picture is called `{kind}`; there are {known}")
        return kind
    suffix = os.path.splitext(output)[1].removeprefix(".").lower()
    if suffix in formats:
        return suffix
    if output == STDOUT:
        raise FacError(
            f"standard output does not say which kind of picture it takes: add --format, one of {known}"
        )
    known = ", ".join(f"`.{name}`" for name in formats)
    named = ", or add --format" if option else ""
    raise FacError(
        f"`{output}` does not say which kind of picture it is: end the name with one of {known}{named}"
    )
