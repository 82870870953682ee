"""The loggers that ship. `metrics.jsonl` is none: it is always written."""

from fac.training.loggers.tensorboard import TENSORBOARD, TensorBoard
from fac.training.loggers.trackio import TRACKIO, Trackio
from fac.training.loggers.wandb import WANDB, Wandb

__all__ = ["KINDS", "TensorBoard", "Trackio", "Wandb"]

KINDS = (TENSORBOARD, WANDB, TRACKIO)
