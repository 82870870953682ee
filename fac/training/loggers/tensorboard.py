"""Event files, which TensorBoard shows: `tensorboard --logdir runs`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from fac.spec.loggers import Logger
from fac.training.loggers.kind import About, LoggerKind, missing


class TensorBoard(Logger):
    """Scalars in `tensorboard/` in the folder of the run, in the files that TensorBoard reads."""

    kind: Literal["tensorboard"] = Field(
        "tensorboard", description="Event files in the folder of the run. Needs the extra `tensorboard`."
    )


class _Events:
    def __init__(self, about: About) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise missing("tensorboard") from error
        self.summary: Any = summary_pb2.Summary
        self.event: Any = event_pb2.Event
        self.writer: Any = EventFileWriter(str(about.folder / "tensorboard"))
        # what an earlier part of the run has said of later steps is void: they are made again
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(about.step + 1 if about.step else 0, session_log=start)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        values = [self.summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._add(step, summary=self.summary(value=values))

    def close(self) -> None:
        self.writer.close()

    def _add(self, step: int, **what: Any) -> None:
        self.writer.add_event(self.event(wall_time=time.time(), step=step, **what))


TENSORBOARD = LoggerKind("tensorboard", TensorBoard, lambda logger, about: _Events(about))
