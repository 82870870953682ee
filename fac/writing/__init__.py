"""How files are written: beside their place, under names that nobody can guess, flushed to the disk, then moved in.

Whatever happens in between, what was there before is there, or what is new is, whole. Several files that belong
together take their places as a group. What a process leaves that was killed is known by its name and by a lock
that nobody holds any more: the next call finishes or removes it.
"""

from fac.writing.files import append, cut, replacing, rewrite, write
from fac.writing.groups import Content, possible, put, settle, staged, sweep, unfinished
from fac.writing.places import (
    NO_LINK,
    TRIES,
    fresh,
    lock,
    locked,
    make_parents,
    new_folder,
    remove_empty,
    require_folder,
    require_writable,
    same,
    seen,
    unwritable,
    whereabouts,
)

__all__ = [
    "NO_LINK",
    "TRIES",
    "Content",
    "append",
    "cut",
    "fresh",
    "lock",
    "locked",
    "make_parents",
    "new_folder",
    "possible",
    "put",
    "remove_empty",
    "replacing",
    "require_folder",
    "require_writable",
    "rewrite",
    "same",
    "seen",
    "settle",
    "staged",
    "sweep",
    "unfinished",
    "unwritable",
    "whereabouts",
    "write",
]
