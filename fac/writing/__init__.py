"""How files are written: beside their place, under names that nobody can guess, flushed to the disk, then moved in.

Whatever happens in between, what was there before is there, or what is new is, whole. Several files that belong
together take their places as a group. What a process leaves that was killed is known by its name and by a lock
that nobody holds any more: the next call finishes or removes it.
"""

from fac.writing.files import append, replacing, rewrite, write
from fac.writing.groups import Content, parent_of, settle, staged, sweep, unfinished
from fac.writing.places import NO_LINK, fresh, lock, new_folder, unwritable, whereabouts

__all__ = [
    "NO_LINK",
    "Content",
    "append",
    "fresh",
    "lock",
    "new_folder",
    "parent_of",
    "replacing",
    "rewrite",
    "settle",
    "staged",
    "sweep",
    "unfinished",
    "unwritable",
    "whereabouts",
    "write",
]
