"""What the system refuses a command, wherever that shows: no mistake of `fac`, and told with a remedy."""

from __future__ import annotations

import os

from fac.opening import reason

SMALLER = "use narrower layers, lower ranks or a smaller `train.batch`"
NO_ROOM = ("failed to map segment", "cannot allocate memory", "cannot create shared memory")
"""What the loader of libraries says where memory is short."""
NO_THREAD = "can't start new thread"


def adrift() -> str:
    """What stands behind a message of the system that would be a riddle: every relative path is refused."""
    try:
        os.getcwd()
    except OSError:
        return "; the working directory is gone: change into one that is there"
    return ""


def refusal(error: Exception) -> str | None:
    """The message, if the system is behind an exception."""
    match error:
        case MemoryError():
            return _no_memory(str(error))
        case OSError() if error.filename is not None:
            return f"`{os.fsdecode(error.filename)}` cannot be used: {reason(error)}"
        case OSError() if error.errno is not None:
            return f"the system refuses what a command needs: {reason(error)}"
        case ImportError() if any(words in str(error).lower() for words in NO_ROOM):
            return _no_memory(str(error))
        case RuntimeError() if str(error) == NO_THREAD:
            return "no thread can be started: raise `ulimit -u`, or set `OMP_NUM_THREADS=1`"
    return None


def _no_memory(said: str) -> str:
    about = f": {said}" if said else ""
    return f"memory ran out{about}; `fac show SPEC --cost` says what a step takes: {SMALLER}"
