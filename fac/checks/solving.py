"""FAC250 to FAC252: what `solve` cannot solve, what it leaves without effect, and what does not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.constraints import WEIGHT_TRANSPORT_FORBIDDEN
from fac.checks.demands import demand
from fac.checks.places import head, listed
from fac.diagnostics import Diagnostic, Path, Rule
from fac.memory import GIB, memory
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.spec.constraints import Constraints
from fac.spec.feedback import Routing
from fac.spec.train import Train

UNSOLVABLE = Rule("FAC250", "unsolvable")
UNUSED_BY_SOLVE = Rule("FAC251", "unused-by-solve")
TOO_MANY_FEATURES = Rule("FAC252", "too-many-features")

TRANSPORT = "no_weight_transport"
"""The one constraint that speaks of solving, too."""


def unsolvable(program: Program) -> Iterator[Diagnostic]:
    """The network or its loss is none that the rule under `solve` can solve.

    `zorb` takes targets back through the inverse of each layer, and what has none ends the way: dropout, a
    normalisation, a pool, a join. Layers stand in one chain, each with parameters of its own. A convolution has an
    inverse where its windows show the whole map and nothing else, at a stride of 1 and without padding. The loss has to
    say one output that is right: `mse` does, and `cross_entropy` of labels. What `sigmoid` and `tanh` make lies in a
    range, onto which targets are mapped first; the layer above, which is solved with a bias, takes that up, so they are
    no output. What goes back through a weight of zeros is zero: such a layer tells those below nothing.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: tanh}
          - {kind: dropout, rate: 0.2}
          - {kind: linear, name: logits, out: 10}
        solve: {rule: zorb}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: tanh}
          - {kind: linear, name: logits, out: 10}
        solve: {rule: zorb}

    See arXiv 2011.08895.
    """
    solve = program.spec.solve
    if solve is None or not program.nodes:
        return
    for found in kind_of("fac.solve", solve).misfits(solve, program):
        yield UNSOLVABLE.at(found.path, found.message, help=found.help)


def unused_by_solve(program: Program) -> Iterator[Diagnostic]:
    """Beside `solve` stands something that only a training by steps reads.

    What is solved for is set once, from all training samples: no error is sent anywhere, so there is nothing that
    `feedback` could route or `probes` could measure, no backward pass for `constraints` to bound, and neither batches
    nor epochs. What is written as it is by default is no finding: files that a training writes have all of it.

    Bad:

        solve: {rule: zorb}
        feedback: {rule: dfa}

    Good:

        solve: {rule: zorb}
    """
    spec = program.spec
    if spec.solve is None:
        return
    name = kind_of("fac.solve", spec.solve).name
    found: list[tuple[Path, str, str]] = []
    if spec.feedback != Routing():
        found.append((("feedback",), "feedback", f"`{name}` sends no errors"))
    if spec.probes:
        found.append((("probes",), "probes", f"`{name}` makes no steps to measure"))
    for field in ("keep", "stop", "accumulate", "mixed_precision", "log_every", "probe_every"):
        if getattr(spec.train, field) != getattr(Train(), field):
            found.append((("train", field), field, f"`{name}` makes no steps, and has one epoch"))
    for field in () if spec.data is None else spec.data.by_step:
        found.append((("data", field), field, f"`{name}` sees each sample once, as it is"))
    for field in ("epochs", "batch"):
        if getattr(spec.train, field) != getattr(Train(), field):
            found.append(
                (("train", field), field, f"`{name}` reads all training samples, once for each layer")
            )
    for field, why in (
        ("anchor", "makes no steps"),
        ("prealign", "draws no weights that it does not solve for"),
    ):
        if getattr(spec.train, field) is not None:
            found.append((("train", field), field, f"`{name}` {why}"))
    for field in Constraints.model_fields:
        if getattr(spec.constraints, field) != getattr(Constraints(), field) and field != TRANSPORT:
            found.append((("constraints", field), field, f"`{name}` has no backward pass"))
    for path, word, why in found:
        yield UNUSED_BY_SOLVE.at(path, f"`{word}` has no effect: {why}", help="remove it", key=True)


def transports_weights(program: Program) -> Iterator[Diagnostic]:
    """Targets that go back through forward weights, where the spec or a policy forbids that."""
    solve, forbidden = program.spec.solve, demand(program, TRANSPORT)
    if solve is None or forbidden is None:
        return
    kind = kind_of("fac.solve", solve)
    layers = kind.transports(solve, program)
    if layers:
        yield WEIGHT_TRANSPORT_FORBIDDEN.at(
            ("solve", "rule"),
            f"`{kind.name}` makes targets by the weights of {listed(layers)}, which {forbidden.named} forbids",
            help="train with `update`, and feedback that reads no weights",
        )


def too_many_features(program: Program) -> Iterator[Diagnostic]:
    """What a solve keeps of the features of a layer does not fit into the memory of this machine.

    However many samples there are, least squares keep a triangle of a row and a column for each feature and output. It
    grows with the square of what a layer reads: 1,000 features take megabytes, 100,000 take 500 GiB.

    Bad:

        input: {shape: [10000000]}
        solve: {rule: zorb}

    Good:

        input: {shape: [1000]}
        solve: {rule: zorb}
    """
    solve = program.spec.solve
    if solve is None:
        return
    kind, there = kind_of("fac.solve", solve), memory()
    for node in kind.order(solve, program):
        if node.weight is None:
            continue
        needed = kind.memory(solve, node)
        if there is not None and needed > there:
            weight, below = node.weight, program.nodes[: program.nodes.index(node)]
            narrower = "make it narrower"
            if weight.reads < weight.writes:
                learned = any(other.weight for other in below)
                narrower = (
                    "make the layer below narrower" if learned else "feed the network with fewer numbers"
                )
            yield TOO_MANY_FEATURES.at(
                head(node),
                f"`{node.name}` makes {weight.reads:,} numbers of {weight.writes:,} features: to solve it takes "
                f"{needed / GIB:,.0f} GiB, more than this machine has",
                help=f"{narrower}, or train with `update`",
            )
