"""FAC227: what the spec says of arrays in the `state_dict` of a module."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from fac.checks.places import Guess
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.adapters import without
from fac.program.program import Program

STATE_DICT_MISFIT = Rule("FAC227", "state-dict-misfit")


def state_dict_misfit(program: Program) -> Iterator[Diagnostic]:
    """An entry of `state_dict` speaks of an array that there is not, or gives it a key or a shape that it cannot have.

    Each entry says of one array of a layer what `fac export --to state_dict` calls it, so that a module of PyTorch
    loads it. A wrong word would leave an array out, or write one over another.

    Bad:

        layers: [{kind: linear, name: fc1, out: 10}]
        state_dict: [{array: fc.weight, key: head_weight}]

    Good:

        layers: [{kind: linear, name: fc1, out: 10}]
        state_dict: [{array: fc1.weight, key: head_weight}]
    """
    if any(node.shape is None for node in program.nodes):
        return
    held = {tensor.name: tensor.shape for node in program.nodes for tensor in node.tensors}
    shapes = {plain: held[name] for name, plain in without(program.adapted, held).items()}
    said, guess = set[str](), Guess()
    taken = dict.fromkeys(shapes.keys() - {entry.array for entry in program.spec.state_dict}, "")
    for index, entry in enumerate(program.spec.state_dict):
        path: Path = ("state_dict", index)
        if entry.array not in shapes:
            help, fix = guess.mended((*path, "array"), entry.array, shapes, "the arrays of layers are {}")
            message = f"no array of a layer is called `{entry.array}`"
            yield STATE_DICT_MISFIT.at((*path, "array"), message, help=help, fix=fix)
            continue
        if entry.array in said:
            message = f"`{entry.array}` has an entry before"
            yield STATE_DICT_MISFIT.at(
                (*path, "array"), message, help="write all its keys there: `key: [a, b]`"
            )
            continue
        said.add(entry.array)
        yield from _misshapen(path, shapes[entry.array], entry.transpose, entry.shape)
        for key in entry.keys:
            if key in taken:
                owner = (
                    f"that of `{taken[key]}`" if taken[key] else "what an array without an entry is called"
                )
                where = (*path, "key") if entry.key is not None else (*path, "array")
                yield STATE_DICT_MISFIT.at(
                    where, f"`{key}` is {owner}, too", help="let each key stand for one array"
                )
            taken.setdefault(key, entry.array)


def _misshapen(
    path: Path, have: tuple[int, ...], transpose: bool, shape: tuple[int, ...] | None
) -> Iterator[Diagnostic]:
    if transpose and len(have) != 2:
        yield STATE_DICT_MISFIT.at(
            (*path, "transpose"), f"the array is {list(have)}, and a matrix has two axes", help="remove it"
        )
    if shape is not None and prod(shape) != prod(have):
        yield STATE_DICT_MISFIT.at(
            (*path, "shape"),
            f"the array is {list(have)}, which has {prod(have)} numbers, and {list(shape)} has {prod(shape)}",
            help="write sizes that multiply to as many",
        )
