"""What a logger is: something that is told figures, by names and steps, and closed in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fac.diagnostics import FacError
from fac.spec.base import Model


@dataclass(frozen=True, slots=True)
class About:
    """The training that is logged."""

    name: str
    """Of the spec."""
    spec: Mapping[str, Any]
    """As plain data."""
    folder: Path
    """Of the run: what a logger writes lies in a folder of its own below."""
    step: int
    """After which it begins: more than 0 if it resumes."""


class Log(Protocol):
    """An open logger."""

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Keep figures of a step, by their names. All are finite."""

    def close(self) -> None:
        """Write what is still to be written."""


@dataclass(frozen=True, slots=True)
class LoggerKind:
    """A way to log."""

    name: str
    spec: type[Model]
    open: Callable[[Any, About], Log]
    """`open(logger, about)`. It sends nothing elsewhere, unless a setting of its model asks for that. A FacError keeps
    the training from its first step; what fails later ends the logging alone."""


def missing(kind: str) -> FacError:
    """The package of a logger is not installed."""
    return FacError(
        f"the logger `{kind}` is not installed: `pip install 'fac-compiler[{kind}]'`, or leave it out of "
        "`train.loggers` and `--log`"
    )
