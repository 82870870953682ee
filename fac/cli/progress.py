"""How a training shows on the screen: a bar on a terminal, plain lines elsewhere or with `CI` set."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import isnan

from fac.cli.output import say
from fac.cli.streams import unread
from fac.escaping import visible
from fac.training.logs import EpochRecord, Listener, Plan, Progress


@contextmanager
def shown(*, err: bool, label: str = "", told: set[str] | None = None) -> Iterator[Listener]:
    """A listener that shows a training.

    Args:
        err: write to standard error, because standard output belongs to a machine.
        label: of one training among several: then its epochs pass without lines of their own.
        told: what was said of the trainings before, and is not said again; gets what is said of this one.
    """
    told = set() if told is None else told
    from rich.console import Console

    console = Console(stderr=err, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal or os.environ.get("CI", "").lower() not in ("", "0", "false"):
        yield Words(told) if label else Lines(err)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Live

    columns = (
        TextColumn("{task.description}"),
        BarColumn(21),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Live(*columns, console=console, transient=True) as live:
        yield Bar(live, label, told)


@contextmanager
def logged() -> Iterator[None]:
    """Show what the package logs, such as the fetching of data, on standard error."""

    class Echo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage(), err=True)

    logger, handler, level = logging.getLogger("fac"), Echo(), logging.getLogger("fac").level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class Words(Listener):
    """Nothing but what a person should know."""

    def __init__(self, told: set[str]) -> None:
        """`told`: see `shown`."""
        self.told = told

    def stopped(self, text: str) -> None:
        """The line of the run says it, and of which it is."""

    def said(self, text: str) -> None:
        """Pass it on, if it is new."""
        if text not in self.told:
            self.told.add(text)
            say(text, err=True)


class Lines(Listener):
    """One line per epoch."""

    def __init__(self, err: bool) -> None:
        """`err` sends the lines to standard error."""
        self.err = err
        self.plan: Plan | None = None
        self.alone = False

    def began(self, plan: Plan) -> None:
        """Remember how long it will take."""
        self.plan = plan
        say(opening(plan), err=self.err)

    def ended(self, record: EpochRecord) -> None:
        """Write the line."""
        assert self.plan is not None
        say(f"{heading(record.epoch, self.plan)}  {figures(record, self.plan)}", err=self.err)
        if not self.err and not self.alone and unread():
            self.alone = True
            say("nobody reads standard output any more: the training goes on, and keeps its log", err=True)

    def said(self, text: str) -> None:
        """Pass it on."""
        say(text, err=True)


class Bar(Listener):
    """A bar for the epoch under way; a line for each one that is over."""

    def __init__(self, live: object, label: str, told: set[str]) -> None:
        """`live` is a started `rich.progress.Progress`; for the others see `shown`."""
        from rich.progress import Progress as Live

        assert isinstance(live, Live)
        self.live, self.label, self.told = live, visible(label), told
        self.task = live.add_task(label, total=None, figures="")
        self.plan: Plan | None = None
        self.last = ""

    def began(self, plan: Plan) -> None:
        """Draw the empty bar."""
        self.plan = plan
        if not self.label:
            self.live.console.print(opening(plan))
        epoch, position = divmod(plan.done, plan.steps_per_epoch)
        self._draw(min(epoch + 1, plan.epochs), position, "")

    def moved(self, progress: Progress) -> None:
        """Draw the bar, with the test figures of the epoch before."""
        assert self.plan is not None
        made = (progress.epoch - 1) * self.plan.steps_per_epoch + progress.step
        left = (self.plan.epochs * self.plan.steps_per_epoch - made) * progress.step_ms / 1000
        # No layer tells how long the next one takes.
        speed = () if self.plan.solves else (rate(progress.step_ms, self.plan), f"eta {clock(left)}")
        parts = [f"loss {_short(progress.loss)}", self.last, *speed]
        self._draw(progress.epoch, progress.step, "  ".join(filter(None, parts)))

    def ended(self, record: EpochRecord) -> None:
        """Leave a line above the bar."""
        assert self.plan is not None
        self.last = quality(record, self.plan.goes_by)
        if not self.label:
            line = f"{heading(record.epoch, self.plan)}  {figures(record, self.plan)}"
            self.live.console.print(visible(line))

    def stopped(self, text: str) -> None:
        """Of one training among several the line of the run says it."""
        if not self.label:
            self.said(text)

    def said(self, text: str) -> None:
        """Pass it on, above the bar, if it is new."""
        if text not in self.told:
            self.told.add(text)
            self.live.console.print(visible(text))

    def _draw(self, epoch: int, position: int, text: str) -> None:
        assert self.plan is not None
        title = "  ".join(filter(None, (self.label, heading(epoch, self.plan))))
        total = self.plan.steps_per_epoch
        self.live.update(self.task, description=title, total=total, completed=position, figures=text)


def opening(plan: Plan) -> str:
    """What is about to be done."""
    if plan.solves:
        layers = f"{plan.steps_per_epoch} layer{'s' * (plan.steps_per_epoch != 1)}"
        if plan.done >= plan.steps_per_epoch:
            return f"solved already: nothing is left to do for {layers}"
        behind = f" behind the first {plan.done}" if plan.done else ""
        return f"solving {layers}{behind}, one after the other, on {plan.samples_per_step:,} samples"
    if plan.done >= plan.epochs * plan.steps_per_epoch:
        return f"all {plan.epochs} epochs are done already"
    if plan.over:
        return (
            f"nothing is trained: `train.stop` has ended this run, {plan.over}; to go on without it, "
            "`fac train --fork` of this run with `--set train.stop=null`"
        )
    epochs = f"{plan.epochs} epoch{'s' * (plan.epochs != 1)}"
    size = f"{epochs} of {plan.steps_per_epoch} steps, {plan.samples_per_step} samples each"
    if plan.left_over:
        others = ", others each time," if plan.epochs > 1 else ""
        size += f"; an epoch leaves out {plan.left_over}{others} that fill no batch"
    return f"resuming after step {plan.done} of {size}" if plan.done else f"training {size}"


def heading(epoch: int, plan: Plan) -> str:
    """`epoch  3/10`; of solves there is one."""
    if plan.solves:
        return "solved"
    return f"epoch {epoch:>{len(str(plan.epochs))}}/{plan.epochs}"


def figures(record: EpochRecord, plan: Plan) -> str:
    """The loss, how good the network is, and of steps how fast it trains."""
    each = ", ".join(
        f"{name.removesuffix('.loss')} {_short(loss)}" for name, loss in record.train_losses.items()
    )
    parts = (
        f"loss {_short(record.train_loss)}" + f" ({each})" * bool(each),
        quality(record, plan.goes_by),
    )
    return "  ".join(parts if plan.solves else (*parts, rate(record.step_ms, plan)))


def _short(loss: float) -> str:
    """A loss; one that runs away has an exponent, and not hundreds of digits."""
    return f"{loss:.3f}" if abs(loss) < 1e6 else f"{loss:.3e}"


def quality(record: EpochRecord, goes_by: Collection[str] = ()) -> str:
    """What was reached: the accuracy, or loss, on the test samples and on those held out, and the first alignment.

    That is of the first layer that has one; – if it is undefined. Of those held out also the loss, if the training goes
    by that.
    """
    test = f"test loss {record.test_loss:.4g}"
    if record.test_accuracy is not None:
        test = f"acc {100 * record.test_accuracy:.1f} %"
    if record.validation:
        held = record.validation
        found = f"loss {held['loss']:.4g}" if "accuracy" not in held else f"{100 * held['accuracy']:.1f} %"
        if "accuracy" in held and "validation_loss" in goes_by:
            found += f", loss {held['loss']:.4g}"
        test += f"  validation {found}"
    ending = ".error.cosine"
    aligned = next((n for n in record.probes if n.endswith(ending)), None)
    if aligned is None:
        return test
    cosine = record.probes[aligned]
    return f"{test}  align {aligned.removesuffix(ending)} {'–' if isnan(cosine) else f'{cosine:.2f}'}"


def rate(step_ms: float, plan: Plan) -> str:
    """`12.4k samples/s`."""
    speed = 1000 * plan.samples_per_step / step_ms if step_ms else 0.0
    return f"{speed / 1000:.1f}k samples/s" if speed >= 1000 else f"{speed:.0f} samples/s"


def clock(seconds: float) -> str:
    """`0:09`, or with hours `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
