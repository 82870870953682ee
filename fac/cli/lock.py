"""`fac lock`: what experiments come to, as text for reviews."""

from __future__ import annotations

import os

import click

from fac import pipeline, source
from fac.cli.output import is_spec, say, write
from fac.cli.paths import TEXT
from fac.diagnostics import FacError


@click.command("lock")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@click.option("-o", "--output", type=TEXT, help="The lock.  [fac.lock]")
def lock(specs: tuple[str, ...], output: str | None) -> None:
    """Write what experiments come to: files, or folders (every *.fac.yaml below them).

    That is the long form of each spec, shapes, fingerprints of the initial state, and what a step costs: one fact a
    line, the same on every machine. `fac check --locked` says what is no longer so. A lock that is there is replaced:
    it holds the experiments that are named here, and no others.
    """
    from fac.lint.files import STDIN, Files
    from fac.lint.lock import Facts, Lock, facts, locked
    from fac.lint.lock.file import DEFAULT
    from fac.lint.settings import Lookup
    from fac.program.declared import unranked

    output = output or DEFAULT
    if STDIN in specs:
        raise click.UsageError("a lock names the files of its specs: standard input has none")
    if is_spec(output, specs):
        raise click.UsageError(f"--output would write the lock over `{output}`, which is a spec")
    earlier = Lock.replaced(output)
    files = Files(specs, Lookup())
    found: dict[str, tuple[str, Facts]] = {}
    for file in files:
        program = pipeline.lowered(source.read(file, files.within.get(file)))
        name = program.spec.name
        if name in found:
            raise FacError(
                f"`{found[name][0]}` and `{file}` are both called `{name}`: give one another `name`, for a lock "
                "knows one experiment of each name"
            )
        found[name] = file, facts(program)
        if unranked(program):
            say(f"`{name}` leaves ranks to its training: locked are the highest that there may be", err=True)
    for _, message in files.unreadable:
        raise FacError(message)
    if not found:
        raise FacError("there is nothing to lock: settings exclude all specs that are named")
    folder = os.path.dirname(output) or os.curdir
    text = locked({name: (os.path.relpath(file, folder), known) for name, (file, known) in found.items()})
    write(output, text)
    for name in sorted(earlier - found.keys()):
        say(f"`{name}` is no longer in the lock", err=True)
    say(f"{len(found)} experiment{'s' * (len(found) != 1)} locked in `{output}`")


COMMAND = lock
