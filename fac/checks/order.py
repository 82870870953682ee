"""FAC244: networks that read what they are to tell."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import head
from fac.diagnostics import Diagnostic, Rule
from fac.program.lower import kind_of
from fac.program.program import TARGET, Node, Program

LOOKS_AHEAD = Rule("FAC244", "looks-ahead")


def looks_ahead(program: Program) -> Iterator[Diagnostic]:
    """A layer makes a place of later ones, and the data ask at each place what stands at the next.

    Of a text each byte is to be told from those before it: what the loss compares with at a place is what the input
    holds at the next. A layer that mixes all places, such as attention without `causal: true`, hands it the answer.
    Training then reaches a loss near zero and teaches nothing, and `fac sample` has no use for the network. What the
    layers are made of is followed op by op, so only what surely looks ahead is reported.

    Bad:

        input: {shape: [16], classes: 256}
        layers:
          - {kind: embedding, name: bytes, num_embeddings: 256, out: 8}
          - {kind: attention, name: mix, heads: 2}
          - {kind: linear, name: logits, out: 256}
        data: {source: text, path: text, length: 16}

    Good:

        input: {shape: [16], classes: 256}
        layers:
          - {kind: embedding, name: bytes, num_embeddings: 256, out: 8}
          - {kind: attention, name: mix, heads: 2, causal: true}
          - {kind: linear, name: logits, out: 256}
        data: {source: text, path: text, length: 16}
    """
    data = program.spec.data
    kind = None if data is None else kind_of("fac.data", data)
    facts = None if kind is None else kind.known(data)
    if kind is None or facts is None or not facts.next or len(program.inputs) != 1:
        return
    heads = tuple(objective.of for objective in program.losses if objective.target == TARGET)
    for name in _ahead(program, heads):
        node = program.by_name[name]
        settable = "causal" in type(node.layer).model_fields
        yield LOOKS_AHEAD.at(
            (*node.origin, "causal") if settable else head(node),
            f"`{_called(program, node)}` looks ahead: it makes a place of later ones too, and `{kind.name}` asks at "
            "each place what stands at the next",
            help="write `causal: true`"
            if settable
            else "leave it out, or mix places by attention with `causal: true`",
        )


def _called(program: Program, node: Node) -> str:
    """The layer as it is written: of one that stands for several that is another."""
    blocks = (block for block in program.blocks if block.origin == node.origin)
    return next((block.name for block in blocks if node.name.startswith(f"{block.name}.")), node.name)


def _ahead(program: Program, heads: tuple[str, ...]) -> Iterator[str]:
    """The nodes that do, each once; the next is looked for as if those before did not."""
    from fac.build.trace import Trace
    from fac.step.reach import ahead

    trace, spared = Trace(program, training=False), set[str]()
    function = trace.b.finish("forward", {name: trace.values[name] for name in heads})
    (read,) = (trace.values[name].name for name in program.inputs)
    while True:
        found = {
            node for name in heads for node in ahead(function, read, trace.values[name], spared)
        } - spared
        if not found:
            return
        yield from (node.name for node in program.nodes if node.name in found)
        spared |= found
