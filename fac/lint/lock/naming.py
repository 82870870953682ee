"""The lock of files and folders, as `fac lock` and `fac.lock` write it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from fac import asked, pipeline, source
from fac.diagnostics import FacError
from fac.lint.files import STDIN, SUFFIXES, Files
from fac.lint.lock.facts import Facts, facts
from fac.lint.lock.file import DEFAULT, Lock, locked
from fac.lint.settings import Lookup
from fac.program.declared import unranked
from fac.writing import write

COMPARED = "compare"
"""The first key of a comparison file, see `fac.experiments.declared`."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock before it is written."""

    text: str
    experiments: tuple[str, ...]
    """The names of those in it."""
    dropped: tuple[str, ...]
    """Names in the lock that it replaces which are not in it."""
    left_out: str = ""
    """What is to be said of folders whose specs are copies that fac made."""
    unranked: tuple[str, ...] = ()
    """The names of those whose ranks a training measures: locked are the highest that there may be."""


def lock_of(specs: Sequence[str], output: str) -> Locked:
    """What the specs of files and folders come to.

    Args:
        specs: files, or folders, which stand for every `*.fac.yaml` below them.
        output: where the lock will lie, from which paths of specs are written.

    Raises:
        FacError: something else is there, a file cannot be read, two specs have one name, or there is no spec.
        SpecError: a spec has errors.
    """
    if STDIN in specs:
        raise FacError("a lock names the files of its specs: standard input has none")
    same = os.path.realpath(output)
    if output.endswith(SUFFIXES) or same in map(os.path.realpath, specs):
        raise FacError(f"the lock would be written over `{output}`, which is a spec: give another name")
    earlier = Lock.replaced(output)
    files = Files(tuple(specs), Lookup())
    found: dict[str, tuple[str, Facts]] = {}
    open_ranks: list[str] = []
    for file in files:
        document = source.read(file, files.within.get(file))
        if COMPARED in document.data and not document.diagnostics:
            specs_of = document.data.get("specs")
            named = [f"`{spec}`" for spec in specs_of] if isinstance(specs_of, list | tuple) else []
            raise FacError(
                f"`{file}` declares a comparison, which says all that it is in its own text: commit it, and lock its "
                f"specs{', ' * bool(named)}{', '.join(named)}"
            )
        program = pipeline.lowered(document)
        name = program.spec.name
        if name in found:
            raise FacError(
                f"`{found[name][0]}` and `{file}` are both called `{name}`: give one another `name`, for a lock "
                "knows one experiment of each name"
            )
        found[name] = file, facts(program)
        open_ranks += [name] if unranked(program) else []
    for _, message in files.unreadable:
        raise FacError(message)
    if not found:
        raise FacError("there is nothing to lock: settings exclude all specs that are named")
    folder = os.path.dirname(output) or os.curdir
    text = locked({name: (os.path.relpath(file, folder), known) for name, (file, known) in found.items()})
    dropped = tuple(sorted(earlier - found.keys()))
    return Locked(text, tuple(found), dropped, files.left_out, tuple(open_ranks))


def lock(
    specs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], output: str | os.PathLike[str] = DEFAULT
) -> Locked:
    """Write what experiments come to, as `fac lock` does: `fac check --locked` says what is no longer so.

    Args:
        specs: files, or folders, which stand for every `*.fac.yaml` below them.
        output: the lock. One that is there is replaced.

    Raises:
        FacError: see `lock_of`, or it cannot be written.
        SpecError: a spec has errors.
    """
    several = specs if isinstance(specs, list | tuple) else [specs]
    paths = [str(asked.path(spec, "specs", "paths of specs, or of folders")) for spec in several]
    place = asked.path(output, "output")
    found = lock_of(paths, str(place))
    write(place, found.text.encode("utf-8", "backslashreplace"))
    return found
