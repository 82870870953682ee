"""The model under all loggers. The kinds stand in `fac.training.loggers`."""

from __future__ import annotations

from typing import Annotated

from fac import plugins
from fac.spec.base import Model, OneOf


class Logger(Model):
    """Where figures of a training go, beside the log in its folder."""


AnyLogger = Annotated[str | Logger, OneOf("fac.loggers", named=True)]
"""A field of the spec: `tensorboard`, or `{kind: wandb, project: mine}`."""


def logger_of(value: str | Logger) -> Logger:
    """The model behind it: the name of a kind stands for its settings at their defaults."""
    if isinstance(value, Logger):
        return value
    found: Logger = next(kind.spec for kind in plugins.kinds("fac.loggers") if kind.name == value)()
    return found
