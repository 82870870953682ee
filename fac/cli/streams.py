"""Standard output and standard error of a command: they have every character, and outlive whoever reads them."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

GONE = (errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN)
"""Why a pipe or a socket takes no more: its reader went away, as `head` does."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Why a file, or a terminal that was closed, can take no more."""


class Lasting(io.FileIO):
    """A stream on a descriptor whose end is not the end of the command: what nobody takes any more goes nowhere.

    A command so does all that it was asked to do, and its exit status says what it found, whoever reads its output.
    """

    def __init__(self, descriptor: int) -> None:
        """Write to a descriptor that stays open."""
        super().__init__(descriptor, "wb", closefd=False)
        self.failure: OSError | None = None
        """Why it goes nowhere."""

    def write(self, content: ReadableBuffer, /) -> int:
        """Write all of it, or drop what is left.

        Not a part, as a file may: where nothing is buffered, nobody looks at how much it was.
        """
        data = memoryview(content).cast("B")
        left = data
        try:
            while left:
                # Another program may have told a pipe or a terminal that both share not to wait for its reader.
                written: int | None = super().write(left)
                if written is None:
                    _wait(self.fileno())
                else:
                    left = left[written:]
        except OSError as error:
            if error.errno not in GONE + FULL:
                raise
            self.failure = error
            with suppress(OSError):  # of a system that has no descriptor left
                nowhere = os.open(os.devnull, os.O_WRONLY)
                # What native code prints to the same descriptor must not fail either.
                os.dup2(nowhere, self.fileno())
                os.close(nowhere)
        return data.nbytes


def lasting() -> None:
    """From here on nothing that is printed fails: for want of a character, of a reader, or of room.

    rich and click print by the same streams, and so does Python when it ends.
    """
    _hold_descriptors()
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        file: Any = getattr(stream.buffer, "raw", stream.buffer)  # not buffered with PYTHONUNBUFFERED
        if type(file) is io.FileIO:
            stream.flush()
            lasting: Any = Lasting(file.fileno())
            setattr(
                sys, name, _like(stream, lasting if stream.buffer is file else io.BufferedWriter(lasting))
            )
        else:
            stream.reconfigure(errors="backslashreplace")


def unread(*, err: bool = False) -> bool:
    """Whether the reader of standard output, or of standard error, has gone away."""
    failure = _failure(sys.stderr if err else sys.stdout)
    return failure is not None and failure.errno in GONE


def unwritten() -> str | None:
    """Why not all of standard output could be written, if it could not for another reason than a reader's leave."""
    if sys.stdout is not None:
        sys.stdout.flush()
    failure = _failure(sys.stdout)
    return None if failure is None or failure.errno in GONE else os.strerror(failure.errno or 0).lower()


def _failure(stream: Any) -> OSError | None:
    buffer = getattr(stream, "buffer", None)
    file = getattr(buffer, "raw", buffer)
    return file.failure if isinstance(file, Lasting) else None


def _wait(descriptor: int) -> None:
    """Until a descriptor takes more, or says why it never will."""
    from select import select  # not at the start of every command

    select((), (descriptor,), ())


def _like(stream: io.TextIOWrapper, buffer: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        buffer,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _hold_descriptors() -> None:
    """A standard stream that is closed must not become the descriptor of a file that a command writes."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest that is free
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - until the process ends
