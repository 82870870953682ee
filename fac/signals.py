"""What a command does when it is told to end. Imported before anything else, so it imports next to nothing."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import contextmanager
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

AT_ONCE = 0.5
"""Seconds within which a signal that comes again is still the same: who passes one on, as `uv run` does, doubles it."""
NEVER = float("-inf")
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, `kill`, and a terminal that was closed."""


def interruptible() -> None:
    """From here on Ctrl-C ends this process at once and in silence, with the status that shells have for it.

    `hearing` makes it an exception, while there is somebody to catch it. One that the process was started to ignore, as
    behind an `&`, is left alone.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _ONCE)
    sys.unraisablehook = _ONCE.lost
    atexit.register(_ONCE.end)


def hearing(heard: bool) -> None:
    """Whether Ctrl-C raises a KeyboardInterrupt: one, however often it comes at once. The next ends the process."""
    _ONCE.raises = heard


def over(status: int) -> None:
    """All is done and said: what comes now no longer changes the exit status."""
    _ONCE.status = status


def interrupted() -> bool:
    """Whether Ctrl-C has raised its exception, whatever a library has made of that."""
    return _ONCE.raised


def ended_by() -> int:
    """The exit status after the last signal that came: 128 and its number, as shells have it."""
    return 128 + _ONCE.number


@contextmanager
def on_signals() -> Iterator[Callable[[], bool]]:
    """Whether a signal has come since that asks to end. The second one does what it always did.

    One that the process was started to ignore, as `nohup` does, is left alone. After one that came a process is about
    to end, and is not to be ended by the same one, come again.
    """
    _ONCE.last = NEVER
    came: list[int] = []
    before = {n: h for n in ENDING if (h := signal.getsignal(n)) not in (signal.SIG_IGN, None)}

    def note(number: int, frame: FrameType | None) -> None:
        if _ONCE.again():
            return
        if came:
            restore()
            _ONCE.last = NEVER
            signal.raise_signal(number)
        came.append(number)
        _ONCE.number = number

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        if not came:
            restore()


class _Once:
    """A handler that raises at most one exception, and none while nobody would catch it."""

    def __init__(self) -> None:
        self.last = NEVER
        self.number: int = signal.SIGINT
        self.status: int | None = None
        self.raises = self.raised = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.again():
            return
        self.number = number
        if not self.raises or self.raised:
            self.leave()
        self.raised = True
        raise KeyboardInterrupt

    def again(self) -> bool:
        """Whether a signal that comes now is the last one, come again."""
        now, before = monotonic(), self.last
        self.last = now if now - before > AT_ONCE else before
        return self.last == before

    def leave(self) -> None:
        """End the process: what it leaves half done is no worse than after `kill`, which no file minds."""
        os._exit(ended_by() if self.status is None else self.status)

    def lost(self, unraisable: Any) -> None:
        """Ctrl-C ends the process also where Python can only print what is raised, as in a `__del__`."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self.leave()
        sys.__unraisablehook__(unraisable)

    def end(self) -> None:
        """When Python takes itself down, its handlers are taken away, and what comes then would end it by a signal."""
        for number in ENDING:
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_IGN)


_ONCE = _Once()
