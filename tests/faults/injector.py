"""A disk that fails, or a process that ends, at the n-th call by which something is written.

All that Python writes with is wrapped: what opens, writes, flushes, renames, links, makes and removes.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from typing import Any, Literal

from typing_extensions import Buffer

Fault = Literal["kill", "ENOSPC", "EIO"]
FAULTS: tuple[Fault, ...] = ("kill", "ENOSPC", "EIO")
KILLED = 137
"""Exit status of a process that was killed, as shells have it."""
FILLING = ("open", "write", "fsync", "mkdir", "link")
"""What takes room: it goes on failing once a disk is full."""


class Injector:
    """Counts the calls, and lets one of them fail; 0 lets none."""

    def __init__(self, at: int = 0, fault: Fault = "kill") -> None:
        self.at, self.fault = at, fault
        self.calls: list[str] = []

    def install(self) -> None:
        """From here on, for the rest of this process."""
        for name in ("fsync", "replace", "rename", "link", "mkdir", "rmdir", "unlink", "remove", "ftruncate"):
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        plain, self.raw_write, self.raw_open = os.open, os.write, io.open

        def opened(path: Any, flags: int, *more: Any, **named: Any) -> int:
            if flags & os.O_CREAT:
                self.point("open")
            return plain(path, flags, *more, **named)

        def written(descriptor: int, content: Buffer) -> int:
            self.point(
                "write", lambda: self.raw_write(descriptor, bytes(content)[: len(bytes(content)) // 2])
            )
            return self.raw_write(descriptor, content)

        os.open, os.write = opened, written
        builtins.open = io.open = self._open

    def point(self, name: str, half: Callable[[], object] = lambda: None) -> None:
        """One call; `half` does a part of it, as the system does when it is cut off."""
        self.calls.append(name)
        number = len(self.calls)
        if self.at and (
            number == self.at or (self.fault == "ENOSPC" and number > self.at and name in FILLING)
        ):
            if number == self.at:
                half()
            if self.fault == "kill":
                os._exit(KILLED)
            code = getattr(errno, self.fault)
            raise OSError(code, os.strerror(code))

    def _wrapped(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.point(name)
            return plain(*arguments, **named)

        return call

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
        """What `open` gives, on a raw file of ours where it may be written to."""
        if not set(mode) & set("wxa+"):
            return self.raw_open(file, mode, buffering, *more, **named)
        if not isinstance(file, int):
            self.point("open")
        raw = _Raw(file, mode.replace("b", "").replace("t", ""), closefd=named.get("closefd", True))
        raw.injector = self
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, named.get("encoding"), named.get("errors"), named.get("newline"))


class _Raw(io.FileIO):
    injector: Injector

    def write(self, content: Any) -> int:
        size = len(memoryview(content).cast("B"))
        self.injector.point(
            "write", lambda: super(_Raw, self).write(memoryview(content).cast("B")[: size // 2])
        )
        return super().write(content)
