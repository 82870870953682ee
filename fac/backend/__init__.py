"""The contract with backends: what they are given, and what they give back. All a plug-in author has to read.

A backend emits an `Artifact` from a `Compiled`; an artifact opens a `Session`, which holds the state and runs the
functions. At the boundary everything is a NumPy array or a float.
"""

from fac.backend.artifact import (
    Artifact,
    Backend,
    Exported,
    Exporting,
    Optimising,
    Parameters,
    write_common,
    write_files,
)
from fac.backend.boundary import COUNTS, check_feed, held
from fac.backend.compiled import (
    PRECISIONS,
    STEP,
    Anchor,
    Array,
    Compiled,
    HostTask,
    Initial,
    Precision,
    Probing,
    Reading,
    Recipe,
    Slot,
    Term,
    View,
)
from fac.backend.denormals import denormals_as_zero
from fac.backend.host import HostSession
from fac.backend.identity import fingerprint, work
from fac.backend.moves import Bytes, Moves
from fac.backend.partial_state import fitting
from fac.backend.session import Arrays, Session, samples
from fac.backend.settings import setting
from fac.backend.solution import Solution, Solved, Solving, holding
from fac.backend.state_file import DIGEST, FORMAT, UNSIGNED, is_whole, state_content, to_bytes
from fac.backend.state_reading import DamagedError, from_file, metadata_of
from fac.backend.traced import (
    RESERVED,
    Call,
    Fed,
    File,
    Held,
    Importing,
    Module,
    Opening,
    Ran,
    Ref,
    Saving,
    Traced,
)
from fac.backend.tuning import ALL, COMPILED, ONE, STEP_KNOB, THREADS, Knob
from fac.escaping import docstring
from fac.step.feed import Feed
from fac.writing import Content

__all__ = [
    "ALL",
    "COMPILED",
    "COUNTS",
    "DIGEST",
    "FORMAT",
    "ONE",
    "PRECISIONS",
    "RESERVED",
    "STEP",
    "STEP_KNOB",
    "THREADS",
    "UNSIGNED",
    "Anchor",
    "Array",
    "Arrays",
    "Artifact",
    "Backend",
    "Bytes",
    "Call",
    "Compiled",
    "Content",
    "DamagedError",
    "Exported",
    "Exporting",
    "Fed",
    "Feed",
    "File",
    "Held",
    "HostSession",
    "HostTask",
    "Importing",
    "Initial",
    "Knob",
    "Module",
    "Moves",
    "Opening",
    "Optimising",
    "Parameters",
    "Precision",
    "Probing",
    "Ran",
    "Reading",
    "Recipe",
    "Ref",
    "Saving",
    "Session",
    "Slot",
    "Solution",
    "Solved",
    "Solving",
    "Term",
    "Traced",
    "View",
    "check_feed",
    "denormals_as_zero",
    "docstring",
    "fingerprint",
    "fitting",
    "from_file",
    "held",
    "holding",
    "is_whole",
    "metadata_of",
    "samples",
    "setting",
    "state_content",
    "to_bytes",
    "work",
    "write_common",
    "write_files",
]
