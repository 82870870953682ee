"""Runs that commands read, and what is said of their plug-ins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fac.cli.output import say
from fac.diagnostics import plain

if TYPE_CHECKING:
    from fac.experiments.job import Where
    from fac.experiments.samples import Network
    from fac.training.checkpoint import Checkpoint


def trained(run: Path) -> Checkpoint:
    """What a run offers to those who use its network, and a word where that is not what it seems.

    Such as that a plug-in of it has changed, or that its training diverged.

    Args:
        run: its folder or its state.

    Raises:
        FacError: there is no such run, or a plug-in is missing whose kinds it has.
    """
    from fac.experiments.ended import told
    from fac.training import checkpoint

    found = checkpoint.offered(run)
    say_changes(found)
    for line in told(found.place.parent):
        say(plain(line), err=True)
    return found


def network(run: Path, where: Where) -> Network:
    """The network of a run, as `fac.experiments.samples.network` opens it, and the words of `trained`."""
    from fac.experiments.samples import network

    found = network(run, where)
    for remark in found.remarks:
        say(plain(remark), err=True)
    return found


def say_changes(found: Checkpoint) -> None:
    """Tell on standard error which plug-ins of a run are not what they were.

    Raises:
        FacError: one is missing whose kinds it has.
    """
    from fac.training.plugged import changes

    for change in changes(found):
        say(plain(change), err=True)
