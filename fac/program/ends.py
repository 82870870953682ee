"""What a feedback operator connects: of a product its weight, else the numbers of a source and those of a site.

Between tokens a direct operator acts token by token, and from a vector it brings each token an equal part of one
result: what a product does that is the same for all of them, and what the mean over tokens passes down, by the mask
of that mean if it has one. So with B = W^T either is backpropagation, no token's error reaches another, and how many
there are changes no matrix. Tokens that are looked at get equal parts of the sum of the errors of those that look:
what backpropagation brings them if all look at each alike. A step of a recurrence reads the element that it made.
Places of which a mask says that nobody above reads them, padding, get no error (see `counted`).
"""

from __future__ import annotations

from functools import partial
from math import prod

from fac.program.counted import Counted
from fac.program.layout import mixes
from fac.program.program import Ends, Program, Route
from fac.step.types import Batch


def ends_of(program: Program, route: Route, prefix: str) -> Ends | None:
    """The ends of a route; None if a name or a shape is unknown.

    Args:
        program: with its subspaces.
        route: of which the ends are not known yet.
        prefix: of the names of its state.
    """
    node = program.by_name.get(route.node)
    if node is None or node.shape is None:
        return None
    if route.through:
        weight = node.weight
        return None if weight is None else Ends(prefix, weight.reads, weight.writes, weight, node.places)
    site = None if route.site is None else program.by_name[route.site]
    reads = program.dim(route.source) if node.parametric else None
    if reads is None or site is None or site.shape is None:
        return None
    own, given = program.tokens(site.name), program.tokens(route.source)
    step = program.step(site.name, route.source)
    if step is not None:
        reads, given = reads // given[0], given[1:]
    tokens = prod(own)
    mask = program.counted.get(site.name)
    # A source whose error is zero at the same places brings none there, unless it brings each all.
    same = mask == program.counted.get(program.root(route.source) or "")
    if route.share and own and not mixes(node, program.layouts):
        shared = partial(Ends, prefix, writes=site.shape[-1], step=step)
        if tokens > 1 and given == own and program.along(site.name, route.source, step):
            return shared(reads // tokens, places=tokens, mask=None if same else mask)
        if (
            given
            and program.looked_at(site.name, route.source)
            and not program.apart(site.name, route.source)
        ):
            return shared(reads // prod(given), copies=tokens, summed=prod(given), mask=mask)
        if tokens > 1 and _vector(program, route.source, step) and not program.apart(site.name, route.source):
            pooled = program.mask(site.name, route.source)
            return shared(reads, copies=tokens, mask=Counted(pooled) if pooled else mask)
    whole = mask is not None and mask.at is not None
    return Ends(prefix, reads, prod(site.shape), step=step, mask=None if same and whole else mask)


def rows(program: Program, source: str) -> tuple[Batch, int]:
    """The shape of an error as rows: of samples, or of their tokens.

    Args:
        program: whose shapes are known.
        source: `loss` or a node.
    """
    width = program.width(source)
    assert width is not None
    return Batch(prod(program.tokens(source))), width


def _vector(program: Program, source: str, step: int | None) -> bool:
    """Whether the error, or an element of it, has no axis of places."""
    root = program.root(source)
    shape = None if root is None else program.by_name[root].shape
    return shape is not None and (
        len(shape) == 1 + (step is not None) or (source in program.subspace and not program.tokens(source))
    )
