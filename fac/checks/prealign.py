"""FAC340: pre-alignment that leaves weights as they are."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import wired
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.prealign import above
from fac.program.program import Program

PREALIGN_LEAVES_OUT = Rule("FAC340", "prealign-leaves-out", Severity.WARNING)


def prealign_leaves_out(program: Program) -> Iterator[Diagnostic]:
    """`train.prealign` is written, and above the site of some `to` route, or of all, there is no weight to set.

    It solves for the weight of the `linear` layer that reads the site, so that backpropagation brings there what the
    route brings. Where several layers read the site, or a convolution, or one that shares its weight or does not
    learn, or where there is no `to` route at all, weights stay as they were drawn.

    Bad:

        feedback: {rule: fa}
        train: {epochs: 5, prealign: unit}

    Good:

        feedback: {rule: dfa}
        train: {epochs: 5, prealign: unit}
    """
    if program.spec.train.prealign is None or not wired(program):
        return
    sites = dict.fromkeys(r.site for r in program.routes if not r.through and r.site is not None)
    set_ = {site for site, _, _ in above(program)}
    left = [site for site in sites if site not in set_]
    path = ("train", "prealign")
    if not sites:
        yield PREALIGN_LEAVES_OUT.at(
            path,
            "no route brings an error to a layer, so there is nothing to align with",
            help="remove it, or use a direct rule such as `{rule: dfa}`",
        )
    elif left:
        names = ", ".join(f"`{name}`" for name in left[:3]) + (", ..." if len(left) > 3 else "")
        yield PREALIGN_LEAVES_OUT.at(
            path,
            f"of {len(sites)} sites of routes {len(left)} are not read by one `linear` layer with a weight of its own "
            f"that learns: {names}",
            help="what reads them stays as it was drawn",
        )
