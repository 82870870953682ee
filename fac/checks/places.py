"""What the checks share: where a thing stands in the spec, and words for lists and near misses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from heapq import nlargest
from os.path import commonprefix
from typing import Any, TypeVar

from fac.diagnostics import Fix, Path
from fac.program.globs import Names, is_glob
from fac.program.program import Block, Node, Program, Route, Subspace
from fac.program.tensors import Role, Tensor
from fac.spec.base import Model
from fac.spec.feedback import ShortHand
from fac.spec.layers import ParametricLayer, WeightedLayer
from fac.spec.mending import respelt
from fac.spec.updates import Setting

NOT = ("!", "-", "^", "~")
"""What other tools write in front of a glob to leave out what it means."""
_NUMBER = re.compile(r"\.\d+(?=\.)")
"""Of a copy or a branch of a block, in a name."""
Written = TypeVar("Written", bound=Route | Subspace)
SHOWN = 8
"""How many names a help text lists."""
COMPARED = 500
"""With how many names a misspelt one is compared letter by letter."""


def head(node: Node | Block) -> Path:
    """The word that stands for a layer: its name, or its kind if it was given none."""
    return (*node.origin, "kind" if node.layer.name is None else "name")


def copies(program: Program) -> Counter[tuple[Path, str]]:
    """How often what the text has in one place stands in the network, by `copy_of`. Blocks repeat it."""
    owners: list[Node | Block] = [*program.nodes, *program.blocks]
    return Counter(copy_of(owner) for owner in owners if owner.scope)


def copy_of(owner: Node | Block) -> tuple[Path, str]:
    """What is the same of all copies of a layer: its place, and the last part of its name.

    A block may write several layers, which all stand in its own place.
    """
    return owner.origin, "" if isinstance(owner, Block) else owner.name.rpartition(".")[2]


def has_weights(node: Node) -> bool:
    """Whether the layer is of a kind with weights, be its shape known or not."""
    return node.weighted or (node.shape is None and isinstance(node.layer, WeightedLayer))


def has_parameters(node: Node) -> bool:
    """Whether the layer is of a kind with parameters, be its shape known or not."""
    return node.parametric or (node.shape is None and isinstance(node.layer, ParametricLayer))


def read(reader: Node | Block) -> Iterator[tuple[Path, str, str]]:
    """(place, word, name) of all that a layer names to read: by which word, and what that means in full."""
    layer, beside = reader.layer, reader.layer.beside
    one = isinstance(layer.from_, str)
    for place, (word, name) in enumerate(zip(layer.reads, reader.inputs, strict=False)):
        yield (*reader.origin, "from", *(() if one else (place,))), word, name
    if not beside:
        return
    for (key, word), name in zip(
        beside.items(), reader.inputs[len(reader.inputs) - len(beside) :], strict=False
    ):
        yield (*reader.origin, key), word, name


def at_input(program: Program, name: str) -> Path:
    """Where the spec says what an input is."""
    return ("input",) if program.spec.inputs is None else ("inputs", name)


def wired(program: Program) -> bool:
    """Whether every layer reads layers above it, losses read layers that there are, and names are unique.

    If not, that is reported, and what follows from it would only hide the cause: checks of the graph keep
    silent.
    """
    seen = set(program.inputs)
    for node in program.nodes:
        if node.name in seen or not seen.issuperset(node.inputs):
            return False
        seen.add(node.name)
    for block in program.blocks:
        # The sum that ends a block, and what stands for one that could not be written out, have the block's name.
        if block.name in seen and block.output != block.name:
            return False
        seen.add(block.name)
    return bool(program.nodes) and seen.issuperset(program.heads)


def written_models(value: object, path: Path = ()) -> Iterator[tuple[Path, Model]]:
    """Every model that the user wrote, with its place."""
    if isinstance(value, Model):
        yield path, value
        for name, field in type(value).model_fields.items():
            if name in value.model_fields_set:
                yield from written_models(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from written_models(item, (*path, index))


def written(spec: Model, path: Path) -> Any:
    """What stands at a path of the spec."""
    value: Any = spec
    for part in path:
        value = value[part] if isinstance(part, int) else getattr(value, part)
    return value


def short_hand(program: Program, route: Route) -> ShortHand | None:
    """The rule that a route comes from; None if the user wrote the route."""
    section = written(program.spec, route.origin)
    return section if isinstance(section, ShortHand) else None


def target(route: Route) -> Path:
    """Where an explicit route names its layer."""
    return (*route.origin, "through" if route.through else "to")


def matrix_of(program: Program, route: Route, field: str | None = None) -> Path:
    """The matrix of a route, or a field of it. A short-hand has the fields of its matrices as its own."""
    if short_hand(program, route) is None:
        return (*route.origin, "matrix", field) if field else (*route.origin, "matrix")
    return (*route.origin, field or "rule")


def learning_of(program: Program, route: Route, field: str) -> Path:
    """Where the learning rule of a matrix is written; a default is told at the matrix, or at the short-hand."""
    hand = short_hand(program, route)
    if hand is not None:
        return (*route.origin, "learn" if "learn" in hand.model_fields_set else "rule")
    return matrix_of(program, route, field if field in route.matrix.model_fields_set else "kind")


def decides(program: Program, tensor: Tensor) -> tuple[Path, Setting] | None:
    """The setting, or the last group, that decides how a tensor moves; None if it is the main rule."""
    update, index = program.update, program.grouped.get(tensor.name)
    if index is not None:
        return ("update", "groups", index), update.groups[index]
    if update.feedback is not None and tensor.role is Role.FEEDBACK:
        return ("update", "feedback"), update.feedback
    return None


def by_origin(routes: Iterable[Written]) -> dict[Path, list[Written]]:
    """Routes that were written in one place, as a glob or a short-hand writes them: one finding is enough."""
    found: dict[Path, list[Written]] = {}
    for route in routes:
        found.setdefault(route.origin, []).append(route)
    return found


def stated(program: Program, name: str, route: Route | None = None) -> str:
    """What a node is called in the spec: a part of an adapter as its layer, but for what a route names by hand."""
    if route is not None and short_hand(program, route) is None:
        return name
    return program.parts.get(name, name)


def fed(program: Program, routes: Iterable[Route]) -> list[str]:
    """The layers that routes go to, as `stated`."""
    return [stated(program, route.node, route) for route in routes]


def listed(names: Iterable[str], conjunction: str = "and", count: int | None = None) -> str:
    """`` `a`, `b` and `c` ``, cut after the first few.

    Args:
        names: in their order.
        conjunction: before the last one.
        count: how many there are, if `names` are the first ones only.
    """
    different = list(dict.fromkeys(names))
    quoted = [f"`{name}`" for name in different[: SHOWN + 1]]
    more = (count or len(different)) - SHOWN
    if more > 0:
        return f"{', '.join(quoted[:SHOWN])} {conjunction} {more} more"
    return f" {conjunction} ".join(filter(None, (", ".join(quoted[:-1]), *quoted[-1:])))


def meant(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """`` did you mean `task`? ``, or something else where no name is near."""
    close = nearest(word, known)
    return f"did you mean `{close[0]}`?" if close else otherwise


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The two known names that are most like the word, the nearer one first; fewer if fewer are alike at all."""
    names = list(dict.fromkeys(known))
    if len(names) > COMPARED:
        # A full comparison takes 20 us. Typing errors seldom change how a word begins.
        names = nlargest(COMPARED, names, key=lambda name: len(commonprefix((word, name))))  # noqa: RUF071
    return get_close_matches(word, names, n=2)


class Guess:
    """`meant` for the first findings of a check: each looks at every name, and nobody reads thousands of them."""

    def __init__(self) -> None:
        self.left = 50

    def __call__(self, word: str, known: Iterable[str], otherwise: str = "") -> str:
        """The help for `word`. A `{}` in `otherwise` stands for the names."""
        return self.mended((), word, known, otherwise)[0]

    def mended(
        self, path: Path, word: str, known: Iterable[str], otherwise: str = ""
    ) -> tuple[str, Fix | None]:
        """The help for the `word` at a path, and the fix if it is surely a slip. To a glob globs are near."""
        self.left -= 1
        if self.left < 0:
            return "", None
        names = list(dict.fromkeys(map(of_copies, known))) if is_glob(word) else list(known)
        near = nearest(word, names)
        if not near:
            return otherwise.format(listed(names)), None
        return f"did you mean `{near[0]}`?", respelt(path, word, near[0], near)


def excluded(word: str, known: Iterable[str], what: str = "layers") -> str:
    """What to write instead of a glob that means to leave layers out; nothing if it does not look so."""
    rest, names = word[1:], Names(known)
    if word[:1] not in NOT or not rest or not (left := names.matching(rest)):
        return ""
    kept = [name for name in known if name not in left]
    other = f"[!{rest[0]}]*"
    short = f", or write `{other}`" if list(names.matching(other)) == kept else ""
    return f"globs cannot exclude: list the {what}{short}" + (f"; they are {listed(kept)}" if kept else "")


def elsewhere(program: Program, word: str, known: Iterable[str]) -> str:
    """What to write for layers of blocks that are called as if they stood outside, or without the number of a part.

    Also for several names in one text, and for a bracket that is not closed. Nothing if it is none of these.
    """
    names = list(known)
    parts = [part for part in re.split(r"[,\s]+", word) if part]
    if len(parts) > 1:
        return f"a list has brackets: `[{', '.join(parts)}]`"
    if word.count("[") > word.count("]"):
        return f"close the bracket: `{word}]`"
    if within := next((name for name in names if name.endswith(f".{word}")), None):
        return in_parts(within)
    bare = next((name for name in names if of_copies(name, "") == word), None)
    return in_parts(bare) if bare else ""


def in_parts(name: str) -> str:
    """The help for who leaves out of a name what stands in front, or the numbers of copies and branches."""
    every = of_copies(name)
    return f"write `{name}`" if every == name else f"write `{every}` for all of them, or `{name}` for one"


def named(program: Program) -> Iterator[tuple[int, Node | Block]]:
    """Layers and blocks, each with the number of layers above it; a block before the layers inside."""
    yield from ((block.place, block) for block in program.blocks)
    yield from enumerate(program.nodes)


def written_readers(program: Program) -> Iterator[tuple[int, Node | Block]]:
    """As `named`, without the layers that blocks write: these read what the block does, and it is said of that."""
    blocks = {block.origin for block in program.blocks}
    yield from ((i, one) for i, one in named(program) if isinstance(one, Block) or one.origin not in blocks)


def of_copies(name: str, number: str = ".*") -> str:
    """The glob of a name in all copies and branches of blocks: `deep.*.fc1`."""
    return _NUMBER.sub(number, name)
