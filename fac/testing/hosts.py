"""Small specs in which a kind of any family has a part: what it is tried in, whatever it is.

A host is a function from the kind's own settings, as data, to a whole spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from fac.backend import Array, Feed
from fac.program.kinds import (
    BlockKind,
    Kind,
    LayerKind,
    LearningKind,
    LossKind,
    MatrixKind,
    ProbeKind,
    RuleKind,
    ScheduleKind,
    SolveKind,
    UpdateKind,
)
from fac.program.program import Shape
from fac.testing.nets import SGD, Data, Layers, linear, mlp, spec
from fac.testing.solve_laws import NETS

Host = Callable[[Data], Data]
NET = mlp(6, 6, 3)
READ = "below"
"""What the layers that a tried one reads are called, with a number."""
WHOLE = 4
"""How many whole numbers there are for a layer that does not say it."""


def hosts(kind: Kind, model: Any, shapes: Sequence[Shape]) -> Mapping[str, Host]:
    """What a kind may be tried in, by what it has to do there. Not each has to be possible.

    Args:
        kind: of any family but data sources.
        model: its settings.
        shapes: see `check_kind`.
    """
    match kind:
        case LayerKind() | BlockKind():
            read = tuple(shapes) or ((6,),)
            alone = {"a layer that reads the input": lambda said: spec(_above(said), shape=read[0])}
            if getattr(kind, "classes", None) is not None or len(read) > 1:
                alone = {}
            return {"a layer": lambda said: _layer(kind, model, said, read)} | alone
        case LossKind():
            return {"a loss": lambda said: _loss(kind, said, *shapes or ((3,),))}
        case RuleKind():
            return {"`feedback:`": lambda said: spec(NET, said)}
        case MatrixKind():
            return {
                "a `through` route": lambda said: _routed({"through": "out", "matrix": said}),
                "a `through` route past a square weight": lambda said: _routed(
                    {"through": "fc2", "matrix": said}
                ),
                "a `to` route": lambda said: _routed({"to": "fc1", "matrix": said}),
            }
        case LearningKind():
            full = {"kind": "random"}
            pair = {"kind": "low_rank", "rank": 2}
            ends = ({"through": "out"}, {"to": "fc1"})
            return {
                f"`{field}` of a `{next(iter(end))}` route": _taught(end, matrix, field)
                for matrix, fields in ((full, ("learn",)), (pair, ("read", "write")))
                for field in fields
                for end in ends
            } | {"`basis` of a subspace": _read}
        case UpdateKind():
            return {"`update:`": lambda said: spec(NET, update={"lr": 0.1} | said)}
        case ScheduleKind():
            return {"`schedule:`": lambda said: spec(NET, update=SGD | {"schedule": said})}
        case ProbeKind():
            return {f"`probes:` beside `{rule}`": _measured(rule) for rule in ("fa", "dfa", "bp")}
        case SolveKind():
            return {f"`solve:` with {loss}": _solved(loss) for loss in ("mse", "cross_entropy")}
    raise ValueError(f"`{kind}` is no kind of a family that a network has")


def drawn(feeds: Sequence[Feed], n: int, seed: int = 0) -> dict[str, Array]:
    """A batch of n samples: normal numbers, or what the feed allows."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for feed in feeds:
        shape = (n, *feed.shape)
        if feed.mask:
            found[feed.name] = rng.integers(0, 2, shape).astype(float)
        elif feed.classes is not None:
            found[feed.name] = rng.integers(0, feed.classes, shape)
        elif feed.within is not None:
            found[feed.name] = rng.uniform(*feed.within, shape)
        else:
            found[feed.name] = rng.standard_normal(shape)
    return found


def _layer(kind: LayerKind | BlockKind, model: Any, said: Data, shapes: Sequence[Shape]) -> Data:
    """Below a layer that learns, and above one for each of its inputs; whole numbers it reads itself."""
    beside = model.beside.items()
    marks = type(model).named()
    masks = {
        name: {"shape": shape, "mask": True}
        for (field, name), shape in zip(beside, shapes[len(shapes) - len(beside) :], strict=True)
        if marks[field].mask
    }
    read = shapes[: len(shapes) - len(beside)]
    layers: list[Data] = []
    names: list[str] = []
    classes = getattr(kind, "classes", None)
    x: Data = {"shape": (5,)}
    if classes is not None:
        x = {"shape": read[0], "classes": getattr(model, classes) or WHOLE}
    else:
        for number, shape in enumerate(read):
            layers.append(linear(f"{READ}{number}", prod(shape), **{"from": "input" if not masks else "x"}))
            names.append(f"{READ}{number}")
            if len(shape) != 1:
                layers.append({"kind": "reshape", "name": f"map{number}", "shape": shape})
                names[-1] = f"map{number}"
    data = spec((*layers, *_above(said | ({"from": tuple(names)} if len(names) > 1 else {}))))
    if masks:
        del data["input"]
        return data | {"inputs": {"x": x, **masks}}
    return data | {"input": x}


def _above(said: Data) -> Layers:
    """The layer, and what makes three numbers of what it makes."""
    return {"name": "it"} | said, {"kind": "flatten"}, linear("out", 3)


def _loss(kind: LossKind, said: Data, shape: Shape) -> Data:
    layers: Layers = (linear("fc1", 6), {"kind": "tanh"}, linear("out", prod(shape)))
    if len(shape) != 1:
        layers += ({"kind": "reshape", "name": "map", "shape": shape},)
    return spec(layers) | {"loss": said}


def _routed(*routes: Data, **others: Any) -> Data:
    return spec(NET, {"routes": routes, **others})


def _taught(end: Data, matrix: Data, field: str) -> Host:
    return lambda said: _routed({**end, "matrix": {**matrix, field: said}})


def _read(said: Data) -> Data:
    route = {"to": "fc*", "from": "task", "matrix": {"kind": "random"}}
    return _routed(route, subspaces=({"name": "task", "of": "loss", "rank": 2, "basis": said},))


def _measured(rule: str) -> Host:
    return lambda said: spec(NET, {"rule": rule}, probes=(said,))


def _solved(loss: str) -> Host:
    layers, shape = NETS["relu"]

    def host(said: Data) -> Data:
        of = spec(layers, shape=shape, loss=loss, solve=said)
        return {name: value for name, value in of.items() if name not in ("feedback", "update")}

    return host
