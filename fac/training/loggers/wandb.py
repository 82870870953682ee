"""Weights & Biases: a run on this machine, or, if that is asked for, on its servers."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field

from fac.spec.loggers import Logger
from fac.training.loggers.kind import About, LoggerKind, missing
from fac.training.loggers.runs import RunLog


class Wandb(Logger):
    """A run of Weights & Biases, in `wandb/` in the folder of the run."""

    kind: Literal["wandb"] = Field("wandb", description="A run of Weights & Biases. Needs the extra `wandb`.")
    project: str | None = Field(None, description="The project. Default: the name of the spec.")
    entity: str | None = Field(None, description="The user or team. Default: that of the account.")
    mode: Literal["offline", "online"] = Field(
        "offline",
        description="`offline` keeps the run in the folder, for `wandb sync`; `online` sends figures and spec to the "
        "servers of Weights & Biases.",
    )


class _Run(RunLog):
    def __init__(self, logger: Wandb, about: About) -> None:
        try:
            import wandb
        except ImportError as error:
            raise missing("wandb") from error
        # else its service keeps logs of its own in the home folder
        os.environ.setdefault("WANDB_CACHE_DIR", str(about.folder / "wandb" / "cache"))
        # of this machine and of what lies around nothing is collected
        settings: Any = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        super().__init__(
            wandb.init(
                project=logger.project or about.name,
                entity=logger.entity,
                mode=logger.mode,
                name=about.folder.name,
                config=dict(about.spec),
                dir=str(about.folder),
                settings=settings,
            )
        )


WANDB = LoggerKind("wandb", Wandb, _Run)
