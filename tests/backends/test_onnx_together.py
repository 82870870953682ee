"""Small parameters that are updated side by side: fewer nodes, the same bits, and nobody who does not belong there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac import pipeline
from fac.step.builder import Builder
from fac.step.ir import Function, Op
from fac.step.types import Type
from fac.testing.nets import Data, batches, mlp, spec
from fac_onnx.artifact import OnnxArtifact
from fac_onnx.draft import Draft, Split
from fac_onnx.together import FEWEST, LARGEST, together

UPDATES: dict[str, Data] = {
    "sgd": {"rule": "sgd", "lr": 0.05, "weight_decay": 0.01},
    "momentum": {"rule": "sgd", "lr": 0.05, "momentum": 0.9},
    "nesterov": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "adam": {"rule": "adam", "lr": 0.01, "weight_decay": 0.01},
    "amsgrad": {"rule": "adamw", "lr": 0.01, "amsgrad": True},
    "rmsprop": {"rule": "rmsprop", "lr": 0.01, "momentum": 0.7},
    "clipped": {"rule": "adam", "lr": 0.01, "clip": {"by": "norm", "at": 0.3}},
}
LDFA = {"rule": "ldfa", "rank": 2}


def artifact(
    update: Data, layers: int = FEWEST, width: int = 4, disable: tuple[str, ...] = ()
) -> OnnxArtifact:
    """Linear layers, as many as said."""
    data = spec(mlp(*[width] * (layers - 1), 3), LDFA, update, probes=())
    made = pipeline.compile(data, "onnx", disable=disable)
    assert isinstance(made, OnnxArtifact)
    return made


def nodes(made: OnnxArtifact) -> list[Any]:
    return list(made.made(made.compiled.step).graph.node)


@pytest.mark.parametrize("update", UPDATES)
def test_the_same_bits_by_fewer_nodes(update: str) -> None:
    whole, apart = (artifact(UPDATES[update], disable=off) for off in ((), ("update_together",)))
    joined, split = (sum(node.op_type == kind for node in nodes(whole)) for kind in ("Concat", "Split"))
    assert joined >= 2
    assert split >= 1
    assert len(nodes(whole)) < len(nodes(apart))
    one, other = whole.open(device="cpu"), apart.open(device="cpu")
    for x, y in batches(5, 5, 3):
        assert float(one.step(x, y)["loss"]) == float(other.step(x, y)["loss"])
    for name, array in one.state().items():
        assert array.tobytes() == other.state()[name].tobytes(), name


def test_what_is_updated_otherwise_is_joined_apart() -> None:
    """Every bias of an odd layer at another rate: two chains, if there are enough of each."""
    groups = {"groups": tuple({"match": f"fc{i}.bias", "lr_scale": 0.5} for i in range(1, 2 * FEWEST, 2))}
    some = artifact({**UPDATES["adam"], **groups}, 2 * FEWEST)
    joined = [node for node in nodes(some) if node.op_type == "Split" and "bias.next" in node.output[0]]
    assert len(joined) == 2
    names = [
        {int(name.removeprefix("fc").partition(".")[0]) for name in n.output if name[0] == "f"}
        for n in joined
    ]
    assert sorted(sorted(i % 2 for i in each)[0] for each in names) == [0, 1]
    assert all(len({i % 2 for i in each}) == 1 for each in names)


def test_a_few_stay_as_they_are() -> None:
    whole, apart = (artifact(UPDATES["adam"], FEWEST - 1, disable=off) for off in ((), ("update_together",)))
    assert [node.name for node in nodes(whole)] == [node.name for node in nodes(apart)]


# -- what does not belong there ------------------------------------------------------------------------------------


def halved(sizes: tuple[int, ...], peeked: int | None = None, shown: int | None = None) -> Function:
    """w / 2 of each parameter. Of one, `peeked`, somebody reads the new value; of one, `shown`, what lies between."""
    b, outputs = Builder(), {}
    quarter, two = b.constant(0.25), b.constant(2.0)
    for number, size in enumerate(sizes):
        w = b.input(f"w{number}", Type((size,)))
        between = b.mul(w, quarter)
        new = b.mul(between, two)
        b.mark("sgd", {"parameter": w}, {"parameter": new}, {})
        outputs[f"w{number}"] = new
        if number == peeked:
            outputs["seen"] = b.sum(new, (0,))
        if number == shown:
            outputs["between"] = between
    return b.finish("step", outputs)


def joined(function: Function) -> set[str]:
    """The parameters of which new values come of a split."""
    lines = together(Draft(function, True, [*function.ops])).lines
    made = {v: line for line in lines for v in (line.results if isinstance(line, Split) else (line.result,))}
    for line in lines:
        for value in line.operands:
            assert value in function.inputs or lines.index(made[value]) < lines.index(line), (
                "read before it is made"
            )
    kinds = [line.kind for line in lines if isinstance(line, Op)]
    assert kinds.count("concat") == sum(isinstance(line, Split) for line in lines)
    return {name for name, value in function.outputs if isinstance(made[value], Split)}


SIZES = tuple(range(3, 3 + FEWEST + 1))


def test_of_other_lengths() -> None:
    assert joined(halved(SIZES)) == {f"w{i}" for i in range(len(SIZES))}


@pytest.mark.parametrize("stranger", [{"peeked": 2}, {"shown": 2}])
def test_what_somebody_else_reads_stays_alone(stranger: dict[str, int]) -> None:
    assert joined(halved(SIZES, **stranger)) == {f"w{i}" for i in range(len(SIZES)) if i != 2}


def test_large_ones_stay_alone() -> None:
    assert joined(halved((*SIZES, LARGEST, LARGEST + 1))) == {f"w{i}" for i in range(len(SIZES) + 1)}


def test_the_numbers_of_those_are_right() -> None:
    """Of a graph that is made of such a function, with lengths that differ."""
    from fac_onnx.device import session
    from fac_onnx.emit import model

    arrays = {f"w{i}": np.arange(size, dtype=np.float64) - i for i, size in enumerate(SIZES)}
    made = model(halved(SIZES), "float64", {})
    assert [node.op_type for node in made.graph.node] == ["Concat", "Mul", "Mul", "Split"]
    runner = session(made.SerializeToString(), "cpu")
    found = runner.run(None, arrays)
    assert [o.name for o in runner.get_outputs()] == [f"{name}.next" for name in arrays]
    for array, half in zip(arrays.values(), found, strict=True):
        np.testing.assert_array_equal(half, array / 2)
