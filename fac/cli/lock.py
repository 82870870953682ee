"""`fac lock`: what experiments come to, as text for reviews."""

from __future__ import annotations

import click

from fac.cli.output import is_spec, say, write
from fac.cli.paths import TEXT


@click.command("lock")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@click.option("-o", "--output", type=TEXT, help="The lock.  [fac.lock]")
def lock(specs: tuple[str, ...], output: str | None) -> None:
    """Write what experiments come to: files, or folders (every *.fac.yaml below them).

    That is the long form of each spec, shapes, fingerprints of the initial state, and what a step costs: one fact a
    line, the same on every machine. `fac check --locked` says what is no longer so. A lock that is there is replaced:
    it holds the experiments that are named here, and no others.
    """
    from fac.lint.files import STDIN
    from fac.lint.lock.file import DEFAULT
    from fac.lint.lock.naming import lock_of

    output = output or DEFAULT
    if STDIN in specs:
        raise click.UsageError("a lock names the files of its specs: standard input has none")
    if is_spec(output, specs):
        raise click.UsageError(f"--output would write the lock over `{output}`, which is a spec")
    found = lock_of(specs, output)
    write(output, found.text)
    for name in found.dropped:
        say(f"`{name}` is no longer in the lock", err=True)
    if found.left_out:
        say(found.left_out, err=True)
    for name in found.unranked:
        say(f"`{name}` leaves ranks to its training: locked are the highest that there may be", err=True)
    many = len(found.experiments)
    say(f"{many} experiment{'s' * (many != 1)} locked in `{output}`")


COMMAND = lock
