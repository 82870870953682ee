"""What a spec comes to, fact by fact, equal on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fac.build.costs import StepCost, cost
from fac.pipeline import compiled
from fac.program.program import Program
from fac.render.expand import expanded_data
from fac.spec.data import places
from fac.step.ir import Phase

Fact: TypeAlias = "bool | int | float | str | tuple[Fact, ...] | None"
Facts = Mapping[str, Fact]
"""By name. Its parts are divided by `/`, and the first is one of `GROUPS`: `setting/update/lr`."""

GROUPS = {"setting": "settings", "shape": "shapes", "initial": "initial values", "cost": "costs"}
"""The kinds of facts, in the order in which differences are told."""

GRAIN = 2.0**-16
"""What initial values are rounded to, as a share of the power of two above the largest: see `fingerprint`."""


def facts(program: Program) -> dict[str, Fact]:
    """The long form of a spec, and what it comes to, in the order of the alphabet.

    Settings are those of `expanded_data`, one value each; what is left at its default is left out, and so is where the
    data lie. Shapes are of one sample for layers. Costs are those of one step at the batch of the spec.

    Args:
        program: without findings of the severity `error`.

    Raises:
        FacError: the initial state does not fit into memory.
    """
    data = expanded_data(program)
    del data["name"]
    data["layers"] = {
        node.name: {key: value for key, value in layer.items() if key != "name"}
        for node, layer in zip(program.nodes, data["layers"], strict=True)
    }
    for place in places(type(program.spec.data)) if program.spec.data is not None else ():
        data["data"].pop(place, None)
    found = dict(_flat(data, "setting"))
    found |= {f"shape/{node.name}": tuple(node.shape or ()) for node in program.nodes}
    state = compiled(program).initial()
    found |= {f"shape/{name}": array.shape for name, array in state.items()}
    found |= {f"initial/{name}": fingerprint(array) for name, array in state.items()}
    return dict(sorted((found | dict(_costs(program))).items()))


def fingerprint(array: NDArray[np.float64]) -> str:
    """SHA-256 of an initial array: `sha256-` and 64 hexadecimal digits.

    Decompositions, of which low-rank factors and orthogonal matrices come, differ in the last digits between machines.
    So each entry is taken as a whole number of grains, of which 2^16 are the power of two above the largest magnitude:
    hashed are the shape and the exponent of that power as text, then the numbers as little-endian 64-bit integers.
    """
    exponent = int(np.frexp(np.abs(array).max(initial=0.0))[1])
    grains = np.rint(np.ldexp(array, -exponent) / GRAIN).astype("<i8")
    return "sha256-" + hashlib.sha256(f"{array.shape} {exponent} ".encode() + grains.tobytes()).hexdigest()


def _costs(program: Program) -> Iterator[tuple[str, int]]:
    found = cost(program, program.spec.train.batch)
    yield "cost/parameters", sum(node.parameters for node in program.nodes)
    yield from _step("cost", found.step)
    if found.anchor is not None:
        yield from _step("cost/anchor", found.anchor)


def _step(name: str, step: StepCost) -> Iterator[tuple[str, int]]:
    forward, update = step.macs(Phase.FORWARD), step.macs(Phase.UPDATE)
    yield f"{name}/macs/forward", forward
    yield f"{name}/macs/backward", step.total.macs - forward - update
    yield f"{name}/macs/update", update
    yield f"{name}/feedback_words", step.total.words


def _flat(value: Any, name: str) -> Iterator[tuple[str, Fact]]:
    """Each value that holds no other under its name, and lists of such values as one."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{name}/{key}")
    elif isinstance(value, tuple | list) and any(isinstance(item, Mapping) for item in value):
        for number, (called, item) in enumerate(zip(_called(value), value, strict=True)):
            yield from _flat(item, f"{name}/{called if called is not None else number}")
    else:
        yield name, _plain(value)


def _called(items: tuple[Any, ...] | list[Any]) -> list[str | None]:
    """What the members of a list are called, so that one more does not move the others; None of those without a name.

    A route is called after the layer at which it stands, a measurement after its kind.
    """
    keys = ("name", "through", "to", "match", "of", "kind")
    names = [
        next((str(item[key]) for key in keys if key in item), None) if isinstance(item, Mapping) else None
        for item in items
    ]
    return [name if names.count(name) == 1 and "/" not in str(name) else None for name in names]


def _plain(value: Any) -> Fact:
    return tuple(map(_plain, value)) if isinstance(value, tuple | list) else value
