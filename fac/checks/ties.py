"""FAC225, FAC226: layers that are meant to share the parameters of another one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fac.checks.places import Guess, listed
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.lower import kind_of
from fac.program.naming import full_names
from fac.program.program import Node, Program
from fac.program.ties import misfit

TIE_MISFIT = Rule("FAC225", "tie-misfit")
FROZEN_PARAMETERS_LEARN = Rule("FAC226", "frozen-parameters-learn", Severity.WARNING)


def tie_misfit(program: Program) -> Iterator[Diagnostic]:
    """A layer cannot share the parameters of the layer that its `tie` names.

    `tie` names a layer above, of the same kind and of equal shapes, that has parameters of its own; a `linear` head may
    name an `embedding`, too. The two then have one array for each parameter that both have by the same name; it
    is called after the layer that is named, starts as that says, and learns from both. A layer that itself shares what
    belongs to a third is not named: the third is. A block has no parameters: its layers go by their full names, such as
    `tower.fc1`. In a `repeat` with `tie: true` each layer of a copy shares those of the first copy, so the body has to
    make the shape that it reads.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 20}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 16, tie: fc1}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 20}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 20, tie: fc1}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
    """
    above: dict[str, Node] = {}
    said: set[Path] = set()
    guess = Guess()
    for node in program.nodes:
        if node.tie is not None:
            written = getattr(node.layer, "tie", None) is not None
            path: Path = (*node.origin, "tie") if written else _repeat(program, node)
            owner = above.get(node.tie)
            if owner is None or node.tie in program.outputs:
                yield _unknown(program, node, above, path, guess)
            elif owner.tie is not None and written:
                message = f"`{owner.name}` itself shares the parameters of `{owner.tie}`"
                yield TIE_MISFIT.at(path, message, help=f"write `tie: {owner.tie}`")
            elif not node.shared and (problem := misfit(node, owner, partial(kind_of, "fac.layers"))):
                if written:
                    yield TIE_MISFIT.at(path, str(problem), help=problem.help)
                elif path not in said:
                    yield TIE_MISFIT.at(path, str(problem), help="let the body make the shape that it reads")
                said.add(path)
        above.setdefault(node.name, node)


def frozen_parameters_learn(program: Program) -> Iterator[Diagnostic]:
    """A layer says `trainable: false`, and its parameters learn from another layer that shares them.

    What layers share by `tie` is one array. It learns from each of them that is trainable, so that one use of it can
    teach nothing, as a branch behind which gradients stop. To keep it at its initial values all of them say
    `trainable: false`.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 20, trainable: false}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 20, tie: fc1}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 20, trainable: false}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 20, tie: fc1, trainable: false}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
    """
    for owner, nodes in program.sharing.items():
        node = program.by_name[owner]
        learning = [other.name for other in nodes if other.trainable]
        if getattr(node.layer, "trainable", True) or not learning:
            continue
        message = f"`{owner}` is frozen, and its parameters learn from {listed(learning)}, which share them"
        help = "write `trainable: false` at all of them to keep the parameters as they are"
        yield FROZEN_PARAMETERS_LEARN.at((*node.origin, "trainable"), message, help=help, key=True)


def _repeat(program: Program, node: Node) -> Path:
    """Where the innermost block around a layer says that its copies share their parameters; the layer if none does."""
    around = (b for b in program.blocks if node.name.startswith(f"{b.name}."))
    saying = [b.origin for b in around if getattr(b.layer, "tie", False)]
    return (*max(saying, key=len), "tie") if saying else (*node.origin, "kind")


def _unknown(program: Program, node: Node, above: dict[str, Node], path: Path, guess: Guess) -> Diagnostic:
    """There is no such layer above."""
    word = str(node.tie)
    meant = tuple(full_names(word, node.scope, program.scopes))
    if node.name in meant:
        return TIE_MISFIT.at(path, f"`{node.name}` shares its parameters with itself", help="remove `tie`")
    inside = next(
        (n for n in program.nodes for m in meant if n.parametric and n.name.startswith(f"{m}.")), None
    )
    if inside is not None:
        message = f"`{word}` is a block, and its parameters are those of its layers"
        return TIE_MISFIT.at(path, message, help=f"name a layer inside, such as `{inside.name}`")
    if any(name in program.by_name and name not in above for name in meant):
        message = f"`{node.name}` shares the parameters of `{word}`, which comes later"
        help = f"the layer above has the parameters: write `tie: {node.name}` at `{word}` instead"
        return TIE_MISFIT.at(path, message, help=help)
    known = [name for name, other in above.items() if other.parametric and other.tie is None]
    otherwise = "the layers above with parameters are {}" if known else "no layer above has parameters"
    help, fix = guess.mended(path, word, known, otherwise)
    return TIE_MISFIT.at(path, f"no layer above is called `{word}`", help=help, fix=fix)
