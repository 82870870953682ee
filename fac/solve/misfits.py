"""What keeps targets from going back through a network."""

from __future__ import annotations

from collections.abc import Iterator

from fac.program.kinds import ShapeError, Unsolvable
from fac.program.lower import kind_of
from fac.program.program import Node, Program
from fac.solve.inverses import above, inverse, order, passed, ranged
from fac.spec.layers import ParametricLayer

TRAIN = "train with `update`"


def misfits(program: Program) -> Iterator[Unsolvable]:
    """Each with its place, all shapes of which it speaks being known."""
    found = [*_inputs(program), *_loss(program)]
    for node, before in zip(program.nodes, (program.start, *(n.name for n in program.nodes)), strict=False):
        found += _layer(node, before)
    yield from found
    if not found and all(node.shape is not None for node in program.nodes):
        yield from _ranges(program)
        yield from _zeros(program)


def _inputs(program: Program) -> Iterator[Unsolvable]:
    if len(program.inputs) > 1:
        message = "targets go back along one chain, and there are several inputs"
        yield Unsolvable(("inputs",), message, f"leave one, or {TRAIN}")


def _layer(node: Node, before: str) -> Iterator[Unsolvable]:
    """Why targets do not go back through a layer, or why it cannot be solved."""
    name = kind_of("fac.layers", node.layer).name
    at = (*node.origin, "kind" if node.layer.name is None else "name")
    if node.inputs != (before,):
        read = " and ".join(f"`{other}`" for other in node.inputs)
        message = (
            f"`{node.name}` reads {read}: targets go back along one chain, where it reads `{before}` alone"
        )
        yield Unsolvable(at, message, f"remove what branches or joins, or {TRAIN}")
    elif isinstance(node.layer, ParametricLayer) and node.layer.tie is not None:
        message = f"`{node.name}` has the parameters of `{node.layer.tie}`, and two solves would set them"
        yield Unsolvable((*node.origin, "tie"), message, "leave `tie` out")
    elif node.shape is not None:
        try:
            found = inverse(node)
        except ShapeError as error:
            yield Unsolvable(at, f"`{node.name}` has no inverse: {error}", error.help)
            return
        if found is None:
            message = f"`{node.name}` cannot be solved: `{name}` has no inverse, so no targets get past it"
            yield Unsolvable(at, message, f"remove it, or {TRAIN}")
        elif node.learns and found.rows is None:
            message = (
                f"`{node.name}` cannot be solved: the kind `{name}` does not say what its weight multiplies"
            )
            yield Unsolvable(at, message, f"write `trainable: false`, or {TRAIN}")


def _loss(program: Program) -> Iterator[Unsolvable]:
    """A loss that does not say what the output should be, or says it of other places."""
    if program.spec.losses is not None:
        message = "least squares are for one output, and `losses` may say several"
        yield Unsolvable(("losses",), message, "write one under `loss`")
        return
    (objective,) = program.losses
    loss, kind = objective.loss, kind_of("fac.losses", objective.loss)
    if kind.aim is None:
        message = f"`{kind.name}` does not say one output that is right, as least squares need it"
        yield Unsolvable(("loss", "kind"), message, "use `mse` for targets, `cross_entropy` for labels")
        return
    if loss.mask is not None:
        yield Unsolvable(("loss", "mask"), "least squares count all places alike", "leave `mask` out")
    try:
        kind.aim(loss)
    except ShapeError as error:
        yield Unsolvable(("loss", error.field) if error.field else ("loss",), str(error), error.help)
    head = program.by_name.get(program.output)
    if kind.classes and head is not None and head.shape is not None and len(head.shape) > 1:
        message = (
            f"labels of a map are no targets of `{head.name}`: least squares take one label for each sample"
        )
        yield Unsolvable(
            ("loss", "kind"), message, "put a `flatten` and a `linear` layer at the end, or use `mse`"
        )


def _ranges(program: Program) -> Iterator[Unsolvable]:
    """Layers whose range nothing above takes up."""
    for node in passed(program):
        if not ranged(node):
            continue
        way = reversed(above(program, node))
        taker = next((layer for layer in way if not _moves(layer)), None)
        if taker is not None and taker in order(program) and getattr(taker.layer, "bias", False):
            continue
        why = (
            "is the output"
            if taker is None
            else f"is read by `{taker.name}`, which is not solved with a bias"
        )
        yield Unsolvable(
            (*node.origin, "kind" if node.layer.name is None else "name"),
            f"`{node.name}` maps its targets onto its own range, and {why}: nothing takes the map back",
            "put a `linear` layer with a bias above it",
        )


def _zeros(program: Program) -> Iterator[Unsolvable]:
    """Layers whose weights are zero while targets go back through them."""
    for node in passed(program):
        if node.weight is not None and node.weight.zero:
            yield Unsolvable(
                (*node.origin, "init"),
                f"the weights of `{node.name}` start at zero, and no target gets back through them: the layers below "
                "would be solved for zeros",
                "draw them, as `init: kaiming_uniform` does",
            )


def _moves(node: Node) -> bool:
    found = inverse(node)
    return found is not None and found.moves
