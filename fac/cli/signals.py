"""What a command does when it is told to end."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
AT_ONCE = 0.5
"""Seconds within which a signal that comes again is still the same: who passes one on, as `uv run` does, doubles it."""
NEVER = float("-inf")
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, `kill`, and a terminal that was closed."""


def interruptible() -> None:
    """From here on Ctrl-C raises one KeyboardInterrupt, however often it comes at once, and ends Python silently."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _ONCE)
    atexit.register(_ONCE.end)


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
    """A handler that raises, but not again while the first exception is on its way out."""

    def __init__(self) -> None:
        self.last = NEVER

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.again():
            raise KeyboardInterrupt

    def again(self) -> bool:
        """Whether a signal that comes now is the last one, come again."""
        now, before = monotonic(), self.last
        self.last = now if now - before > AT_ONCE else before
        return self.last == before

    def end(self) -> None:
        """When Python takes itself down, an exception has nobody left to catch it, and its handlers are taken away.

        So what comes again then is left alone, if it was heard already, and else ends the process.
        """
        for number in ENDING:
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL if self.last == NEVER else signal.SIG_IGN)


_ONCE = _Once()
