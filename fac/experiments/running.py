"""What is done with a training that is ready: it is run, looked at if somebody asks, and its folder keeps what came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fac.diagnostics import FacError
from fac.experiments import ended
from fac.experiments.audited import audited
from fac.training.logs import Listener
from fac.training.nonfinite import DivergedError
from fac.training.telling import Telling

if TYPE_CHECKING:
    from fac.audit import Measured
    from fac.experiments.job import Begun
    from fac.spec.model import ModelSpec
    from fac.training.dataset import Dataset
    from fac.training.loop import Report

WARNING = "warning: "
"""How what a training says begins, where a reader of its results has to know it."""


@dataclass(frozen=True, eq=False, slots=True)
class Done:
    """A training that came to its end."""

    report: Report
    dataset: Dataset
    """As the network has read it."""
    audit: Measured | None
    """What was looked at in the trained network, if somebody asked for it."""


class _Noting(Telling):
    """Passes on what it hears, and remembers warnings."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener, {})
        self.warnings: list[str] = []

    def said(self, text: str) -> None:
        """Pass it on."""
        super().said(text)
        if text.startswith(WARNING):
            self.warnings.append(text.removeprefix(WARNING))


def run(
    ready: Begun,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
    *,
    audit: bool = False,
) -> Done:
    """All that is left of a training; its folder, if it has one, keeps what came of it.

    Args:
        ready: the training.
        listener: hears how it goes.
        stop: see `fac.training.loop.train`.
        audit: whether the trained network is looked at.

    Raises:
        FacError: see `fac.training.loop.train`, and `Begun.told`.
        DivergedError: numbers ceased to be finite, which the folder says, too.
        StoppedError: `stop` said so.
    """
    noting = _Noting(listener or Listener())
    with ready.told(noting) as heard:
        try:
            training = ready.training(heard, stop)
            report = training.run()
        except DivergedError as error:
            if ready.kept is not None and ready.kept.begun:
                ended.keep(ready.kept.held, error, said=noting.warnings)
            raise
        looked = audited(ready.session, ready.job.program, training.data.train) if audit else None
    if ready.kept is not None:
        ended.keep(ready.kept.held, report, looked, noting.warnings)
    return Done(report, training.data, looked)


def require_gradients(spec: ModelSpec) -> None:
    """Refuse to look at what has none, before it is trained.

    Raises:
        FacError: the spec is solved.
    """
    if spec.solve is not None:
        raise FacError(f"`{spec.name}` is solved, and has no gradients to look at: leave out the audit")
