"""FAC212, FAC213, FAC214, FAC215: layers that do nothing, or harm, where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, inf, log, tanh

from fac.checks.laws import wide
from fac.checks.places import copies, copy_of, has_weights, head, wired
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.balance import weight_of
from fac.program.declared import curve_of, traits_of
from fac.program.lower import kind_of
from fac.program.program import Node, Objective, Program
from fac.program.reading import draws

LINEAR_ON_LINEAR = Rule("FAC212", "linear-on-linear", Severity.WARNING)
ACTIVATION_BEFORE_LOSS = Rule("FAC213", "activation-before-loss", Severity.WARNING)
DROPOUT_ON_OUTPUT = Rule("FAC214", "dropout-on-output", Severity.WARNING)
REPEATED_ACTIVATION = Rule("FAC215", "repeated-activation", Severity.WARNING)

FAINT = 0.005
"""What is left of a probability of 0, or lacks one of 1, that nobody sees."""


def linear_on_linear(program: Program) -> Iterator[Diagnostic]:
    """A linear layer reads another one, with nothing between.

    W2 (W1 x + b1) + b2 is one linear map of x: the pair can say nothing that a single layer could not, at the cost
    of the products with W1, forward and backward. Almost always an activation was forgotten. Three cases are left
    alone, because people build them on purpose: a lower layer that is narrower than both what it reads and what
    reads it (a factorised weight, which bounds the rank), a frozen layer, and a network without any activation (a
    deep linear network, as theory studies them). The two layers of an adapter are one weight by design: FAC228 is
    about their rank.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: linear, name: fc2, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
    """
    if not wired(program) or not any(curve_of(node.layer) for node in program.nodes):
        return
    adapters = {(layer.down, layer.up) for layer in program.adapted}
    for upper in program.nodes:
        lower = program.by_name.get(upper.inputs[0])
        if lower is None or not (_learning_linear(lower) and _learning_linear(upper)):
            continue
        if (lower.name, upper.name) in adapters:
            continue
        if len(program.readers[lower.name]) > 1 or _narrow(program, lower, upper):
            continue
        yield LINEAR_ON_LINEAR.at(
            head(upper),
            f"`{upper.name}` reads `{lower.name}` with nothing between, so the two are one linear map",
            help="put an activation such as `{kind: relu}` between them, or remove one of the two",
        )


def _learning_linear(node: Node) -> bool:
    return node.weight_learns and traits_of(node).affine


def _narrow(program: Program, lower: Node, upper: Node) -> bool:
    """Whether the lower layer is a bottleneck: then the pair is a weight of bounded rank."""
    between, below = weight_of(lower).reads, weight_of(lower).writes
    return between < min(below, weight_of(upper).reads)


def activation_before_loss(program: Program) -> Iterator[Diagnostic]:
    """The logits that a loss reads pass through an activation first.

    `cross_entropy` has its softmax inside and wants any number as a logit. After a `sigmoid` logits lie between 0
    and 1, after a `tanh` between -1 and 1: the probability of the right class stays bounded, and the loss has a floor
    that no training gets below (1.46 for 10 classes after a sigmoid, 0.80 after a tanh). After a `relu` all
    negative logits are equal, and a unit that is cut passes no error down, so a class can stop learning for good.
    `bce` has its sigmoid inside: what bounds its logits on one side bounds its probabilities there.

    Bad, where the last layer makes the logits:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
          - {kind: sigmoid}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
    """
    for objective in program.losses:
        yield from _squeezed(program, objective)


def _squeezed(program: Program, objective: Objective) -> Iterator[Diagnostic]:
    loss = kind_of("fac.losses", objective.loss)
    if not loss.inside:
        return
    for node in _behind_weights(program, objective.of)[0]:
        curve, (low, high) = curve_of(node.layer), traits_of(node).bounds
        least, most = sigmoid(low), sigmoid(high)
        if not loss.classes:
            if max(least, 1 - most) < FAINT:
                continue
            message = f"after `{node.name}` all probabilities lie between {least:.2g} and {most:.2g}"
        elif not (high - low < inf or (curve is not None and curve.cuts_negative)):
            continue
        elif high == inf:
            message = f"`{node.name}` cuts off negative logits, and a class that is cut gets no error"
        else:
            # The best case: the right class at the upper bound, all others at the lower one.
            others = wide((program.classes(objective.of) or 2) - 1)
            most = 1 / (1 + others * exp(low - high))
            message = (
                f"after `{node.name}` no class gets a probability above {most:.2g}, "
                f"and the loss no value below {-log(most):.2f}"
            )
        yield ACTIVATION_BEFORE_LOSS.at(
            head(node), message, help=f"remove `{node.name}`: `{loss.name}` has its {loss.inside} inside"
        )
        return


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), of infinite numbers too."""
    return (1 + tanh(x / 2)) / 2


def _behind_weights(program: Program, output: str) -> tuple[list[Node], Node | None]:
    """The layers between the last one with weights and a loss, from the output that it reads down, and that layer.

    None, if there are joins between, or no weights at all: then what stands last is no after-thought.
    """
    found: dict[str, Node] = {}
    node = program.by_name.get(output)
    while node is not None and node.name not in found and not has_weights(node) and len(node.inputs) == 1:
        found[node.name] = node
        node = program.by_name.get(node.inputs[0])
    return (list(found.values()), node) if node is not None and has_weights(node) else ([], None)


def dropout_on_output(program: Program) -> Iterator[Diagnostic]:
    """Dropout acts on the output of the network itself.

    Dropout hides hidden units from the layer above, so that no unit relies on a single other. Behind the last layer
    with weights there is no such layer: what is dropped is the answer. The loss then sees a logit of 0 for the
    right class in a share `rate` of the samples, and learns from that noise.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
          - {kind: dropout, rate: 0.2}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: dropout, rate: 0.2}
          - {kind: linear, name: logits, out: 10}
    """
    for output in program.heads:
        layers, last = _behind_weights(program, output)
        for node in layers:
            # What is random and homogeneous multiplies by random numbers.
            hides = traits_of(node).homogeneous and draws(node, node.reads)
            if hides and last is not None:
                yield DROPOUT_ON_OUTPUT.at(
                    head(node),
                    f"`{node.name}` drops numbers of the output that the loss reads",
                    help=f"move it below `{last.name}`, or remove it",
                )


def repeated_activation(program: Program) -> Iterator[Diagnostic]:
    """An activation reads what is never negative, and so returns it as it is.

    `relu` and `leaky_relu` change negative numbers only, and the output of a `relu` or a `sigmoid` has none. Such a
    pair is left over when layers are copied or moved; it costs memory and hides the layer that was meant.
    Nothing is said of a layer in a `repeat` that changes nothing in some copies only.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
    """
    if not wired(program):
        return
    positive: dict[str, str] = {}
    idle: dict[tuple[Path, str], list[tuple[Node, str]]] = {}
    for node in program.nodes:
        below = positive.get(node.inputs[0]) if len(node.inputs) == 1 else None
        curve = curve_of(node.layer)
        if curve is not None and curve.keeps_positive and below is not None:
            idle.setdefault(copy_of(node), []).append((node, below))
        if traits_of(node).bounds[0] >= 0:
            positive[node.name] = node.name
        elif below is not None and traits_of(node).sign:
            positive[node.name] = below
    times = copies(program)
    for copy, nodes in idle.items():
        # What a block repeats stands in the text once: it can go only if it is idle in every copy.
        if len(nodes) < times[copy]:
            continue
        for node, below in nodes:
            yield REPEATED_ACTIVATION.at(
                head(node),
                f"`{node.name}` changes nothing: the output of `{below}` is never negative",
                help=f"remove `{node.name}`, or put another layer between the two",
            )
