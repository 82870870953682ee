"""FAC228: adapters that are no smaller than what they stand beside."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from fac.checks.places import listed
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.adapters import Adapted
from fac.program.program import Program
from fac.spec.mending import rewritten

ADAPTER_RANK_EXCEEDS_LAYER = Rule("FAC228", "adapter-rank-exceeds-layer", Severity.WARNING)


def adapter_rank_exceeds_layer(program: Program) -> Iterator[Diagnostic]:
    """An adapter has a higher rank than the weight that it stands beside can have.

    The product B A of a layer that reads n numbers and makes m has at most rank min(m, n), whatever the number of
    rows of A. More rows say nothing new: they cost memory and products, and the adapter can have more parameters than
    the layer. Of a convolution n counts the numbers of its window, in all channels that it reads.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32, adapter: {kind: lora, rank: 64, alpha: 8}}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32, adapter: {kind: lora, rank: 8, alpha: 8}}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}

    See arXiv 2106.09685.
    """
    beside: dict[Path, list[tuple[int, Adapted]]] = {}
    for layer in program.adapted:
        most = _most(program, layer)
        if most is not None:
            beside.setdefault(_place(program, layer), []).append((most, layer))
    for place, layers in beside.items():
        over = [(most, layer) for most, layer in layers if layer.adapter.rank > most]
        if not over:
            continue
        limit, tight = min(over, key=lambda found: found[0])
        path = (*place, "rank")
        alike = all(most == limit for most, _ in layers)
        others = "" if alike else f", or write an `adapter` of its own for {listed(a.name for _, a in over)}"
        yield ADAPTER_RANK_EXCEEDS_LAYER.at(
            path,
            f"rank {tight.adapter.rank} of the adapter exceeds the {limit} that the weight of `{tight.name}` can have",
            help=f"use a rank of at most {limit}{others}",
            fix=rewritten(path, str(limit)) if alike else None,
        )


def _place(program: Program, layer: Adapted) -> Path:
    """Where the adapter is written: in a group, or in the layer."""
    for index, group in enumerate(program.spec.adapters):
        if group is layer.adapter:
            return "adapters", index
    return (*program.by_name[layer.base].origin, "adapter")


def _most(program: Program, layer: Adapted) -> int | None:
    """The highest rank that B A can have, by what A reads and B makes; None if a shape is not known."""
    down, up = program.by_name[layer.down].weight, program.by_name[layer.up].weight
    return None if down is None or up is None else min(up.shape[0], prod(down.shape[1:]))
