"""Processes that a test begins, which do not outlive it."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
"""Of `prctl` (Linux): the signal that a process gets as its parent ends. It stays through `exec`."""


def begun(command: list[str], **how: Any) -> subprocess.Popen[str]:
    """A process that is killed with the one that began it, however that ends: an endless training is not left behind.

    Args:
        command: program and arguments.
        how: see `subprocess.Popen`.
    """
    tied = _tied if sys.platform == "linux" else None
    return subprocess.Popen(command, preexec_fn=tied, text=True, **how)


def _tied() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
