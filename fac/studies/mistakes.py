"""Studies are programs of others: their mistakes are told as such, and are no fault of `fac`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from fac.diagnostics import FacError
from fac.training.loop import StoppedError

T = TypeVar("T")


def asked(what: str, of: Callable[[], T]) -> T:
    """What a function of a study gives.

    Raises:
        FacError: it fails; with FAC_TRACEBACK set it fails as it does.
        StoppedError: somebody asks its training to end.
    """
    try:
        return of()
    except (FacError, StoppedError):
        raise
    except (Exception, SystemExit) as error:
        if os.environ.get("FAC_TRACEBACK"):
            raise
        raise FacError(
            f"{what} fails: {type(error).__name__}: {error}; FAC_TRACEBACK=1 shows where"
        ) from error
