"""Weight transport is read off the step: whoever reads a forward weight is found, whatever he says, and nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fac.build.costs import cost
from fac.build.transport import transport
from fac.checks import run_checks
from fac.feedback.kolen_pollack import KOLEN_POLLACK
from fac.feedback.random import RANDOM
from fac.layers.elementwise import RELU
from fac.layers.linear import LINEAR
from fac.pipeline import load, lowered
from fac.program.kinds import Facts, Kind, Learned, Signals
from fac.program.lower import lower
from fac.program.program import Program
from fac.program.reading import made_from_weight
from fac.program.tensors import Tensor
from fac.render import facts, show
from fac.render.diff import compare
from fac.render.lineage import Lineage
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.testing.nets import NET, SKIP, spec
from fac.testing.rules import RULES

FA = {"rule": "fa"}
FORBIDDEN = {"constraints": {"no_weight_transport": True}}
Patch = Callable[[Kind, str, Any], None]


@pytest.fixture
def patched() -> Iterator[Patch]:
    """Gives an installed kind another function, as a plug-in might have it, until the test ends."""
    before: list[tuple[Kind, str, Any]] = []

    def patch(kind: Kind, name: str, value: Any) -> None:
        before.append((kind, name, getattr(kind, name)))
        object.__setattr__(kind, name, value)

    yield patch
    for kind, name, value in reversed(before):
        object.__setattr__(kind, name, value)


def transported(feedback: Any) -> list[str]:
    """The layers with weight transport, of kinds so strange that estimates do not know them."""
    program = lower(load(spec(NET, feedback)))
    return transport(program).layers(program)


def codes(program: Program) -> set[str]:
    return {finding.rule.code for finding in run_checks(program) if finding.rule.code.startswith("FAC35")}


def refused(feedback: Any, layers: Any = NET) -> tuple[list[str], set[str]]:
    """The layers with weight transport, and the findings if it is forbidden. Show, JSON and diff say the same."""
    program = lowered(spec(layers, feedback))
    found = transport(program).layers(program)
    lineage, counted = Lineage(program), cost(program, 2)
    data = json.loads(json.dumps(facts.as_json(program, lineage, counted)))
    assert data["weight_transport"] == found
    assert f"weight transport: {', '.join(found) or 'none'}\n" in show.layers(program, lineage, counted)
    shallow = lowered(spec(layers, {"rule": "shallow"}))
    assert list(compare(shallow, program).transport.new) == found
    return found, codes(lower(load(spec(layers, feedback) | FORBIDDEN)))


def by_weight(b: Builder, m: Any, state: Mapping[str, Value], signals: Signals) -> Value:
    """B d + 1e-9 W^T d: a matrix and the forward weight."""
    assert signals.weight is not None
    exact = signals.sent(b, signals.error, signals.weight)
    return b.add(signals.sent(b, signals.error, state["B"]), b.mul(exact, 1e-9))


def by_search(b: Builder, m: Any, state: Mapping[str, Value], signals: Signals) -> Value:
    """The weight is not asked for, but looked for among all that the function is given."""
    found = [v for v in b.inputs if v.name.endswith(".weight") and v.type.shape == state["B"].type.shape]
    return signals.sent(b, signals.error, found[0] if found else state["B"])


def by_teaching(b: Builder, m: Any, state: Mapping[str, Value], signals: Signals) -> tuple[Learned, ...]:
    """B is pulled towards W."""
    assert signals.weight is not None
    return (Learned("B", b.sub(state["B"], signals.weight), gradient=True),)


@pytest.mark.parametrize("apply", [by_weight, by_search])
def test_an_operator_that_reads_the_weight_and_does_not_say_so(patched: Patch, apply: Any) -> None:
    assert refused(FA) == ([], set())
    patched(RANDOM, "apply", apply)
    assert refused(FA) == (["fc2", "out"], {"FAC350"})


def test_learning_that_reads_the_weight(patched: Patch) -> None:
    """In an operator, and in a rule that others have made for operators of others."""
    patched(RANDOM, "learn", by_teaching)
    assert refused(FA) == (["fc2", "out"], {"FAC350"})
    patched(RANDOM, "learn", lambda *_: ())
    assert refused(FA) == ([], set())
    low_rank = {"rule": "ldfa", "rank": 2, "learn": "kolen_pollack"}
    assert refused(low_rank) == ([], set())

    def write(b: Builder, rule: Any, state: Mapping[str, Value], signals: Signals) -> Learned:
        assert signals.weight is not None
        return Learned("Q", b.sub(state["Q"], b.matmul(signals.weight, state["P"], ta=True, tb=True)), True)

    patched(KOLEN_POLLACK, "write", write)
    assert refused(low_rank | {"scale": 0.5}) == (["fc2", "out"], {"FAC350"})


def test_a_matrix_that_calls_itself_like_the_weight(patched: Patch) -> None:
    """State is found by its name."""
    plain = RANDOM.tensors

    def tensors(matrix: Any, ends: Any) -> tuple[Tensor, ...]:
        (b,) = plain(matrix, ends)
        return (b if ends.weight is None else replace(b, name=ends.weight.name),)

    patched(RANDOM, "tensors", tensors)
    patched(RANDOM, "apply", lambda b, m, state, signals: b.matmul(signals.error, state["weight"]))
    assert transported(FA) == ["fc2", "out"]


def infer_flat(layer: Any, name: str, shapes: Any) -> Facts:
    """A linear layer that keeps its weight as a vector."""
    return Facts((layer.out,), (Tensor(f"{name}.weight", (layer.out * shapes[0][0],), "launay"),))


def flat(b: Builder, layer: Any, inputs: Any, state: Mapping[str, Value], mode: Any) -> Value:
    """It is reshaped in the forward pass."""
    (x,) = inputs
    return b.matmul(x, b.reshape(state["weight"], (layer.out, x.type.shape[1])), tb=True)


def test_a_weight_that_a_layer_reshapes_is_a_weight(patched: Patch) -> None:
    """Backpropagation passes what was made of it in the forward pass; the layer does not even say that it contracts."""
    patched(LINEAR, "infer", infer_flat)
    patched(LINEAR, "forward", flat)
    assert transported({"routes": ()}) == ["fc2", "out"]


def scaled(b: Builder, layer: Any, inputs: Any, state: Mapping[str, Value], mode: Any) -> Value:
    """It is scaled by the size of the batch's samples, which counts as a constant."""
    (x,) = inputs
    weight = b.reshape(state["weight"], (layer.out, x.type.shape[1]))
    return b.matmul(x, b.mul(weight, b.stop_gradient(b.mean(b.mul(x, x), (0, 1)))), tb=True)


def test_a_weight_that_a_layer_scales_by_samples_is_a_weight(patched: Patch) -> None:
    patched(LINEAR, "infer", infer_flat)
    patched(LINEAR, "forward", scaled)
    assert transported({"routes": ()}) == ["fc2", "out"]


def test_a_factor_for_each_unit_is_no_weight_but_a_matrix_is(patched: Patch) -> None:
    """The gain of a normalisation stays at its unit; a layer that mixes units, as a product or as a sum, does not."""
    plain = RELU.infer

    def having(*shape: int) -> Any:
        def infer(layer: Any, name: str, shapes: Any) -> Facts:
            return replace(
                plain(layer, name, shapes), tensors=(Tensor(f"{name}.gain", shape or shapes[0], "launay"),)
            )

        return infer

    direct = {"routes": ({"through": "out", "matrix": {"kind": "random"}},)}
    net = (NET[0], NET[1], NET[-1])
    patched(RELU, "infer", having())
    patched(RELU, "forward", lambda b, layer, inputs, state, mode: b.mul(inputs[0], state["gain"]))
    assert refused(direct, net) == ([], set())
    patched(RELU, "infer", having(8, 8))
    patched(RELU, "forward", lambda b, layer, inputs, state, mode: b.matmul(inputs[0], state["gain"]))
    assert refused(direct, net) == (["relu_1"], {"FAC350"})

    def mixed(b: Builder, layer: Any, inputs: Any, state: Mapping[str, Value], mode: Any) -> Value:
        wide = b.reshape(inputs[0], (*inputs[0].type.shape, 1))
        return b.sum(b.mul(wide, state["gain"]), (1,))

    patched(RELU, "forward", mixed)
    assert refused(direct, net) == (["relu_1"], {"FAC350"})


def test_a_gain_is_no_weight_in_a_layer_that_makes_less_than_it_reads_or_more_on_its_way(
    patched: Patch,
) -> None:
    """A gain [2, 4] of what is read, before a mean over 4; a gain [8] of each unit, in 3 copies before their sum."""
    direct = {"routes": ({"through": "out", "matrix": {"kind": "random"}},)}
    plain = RELU.infer

    def having(*axes: int) -> Any:
        def infer(layer: Any, name: str, shapes: Any) -> Facts:
            (read,) = shapes
            made = tuple(size for axis, size in enumerate(read) if axis not in axes)
            return replace(
                plain(layer, name, shapes), shape=made, tensors=(Tensor(f"{name}.gain", read, "launay"),)
            )

        return infer

    def averaged(b: Builder, layer: Any, inputs: Any, state: Mapping[str, Value], mode: Any) -> Value:
        return b.mean(b.mul(inputs[0], state["gain"]), (2,))

    def copied(b: Builder, layer: Any, inputs: Any, state: Mapping[str, Value], mode: Any) -> Value:
        (x,) = inputs
        n, width = x.type.shape
        wide = b.broadcast_to(b.reshape(x, (n, 1, width)), (n, 3, width))
        return b.sum(b.emit("tanh", b.mul(wide, state["gain"])), (1,))

    patched(RELU, "infer", having(1))
    patched(RELU, "forward", averaged)
    assert refused(direct, (NET[0], {"kind": "reshape", "shape": (2, 4)}, NET[1], NET[-1])) == ([], set())
    patched(RELU, "infer", having())
    patched(RELU, "forward", copied)
    assert refused(direct, (NET[0], NET[1], NET[-1])) == ([], set())


READERS = {"ldfa_local", "ldfa_normative", "ldfa_refresh", "usf", "frsf", "brsf", "weight_mirror"}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("net", [NET, SKIP], ids=["chain", "skip"])
def test_an_operator_alone_reads_what_it_reads_in_the_step(rule: str, net: Any) -> None:
    """Pictures, which also draw specs with errors, ask the operator; all else asks the step."""
    program = lowered(spec(net, RULES[rule]))
    found = transport(program)
    assert [r for r in program.routes if made_from_weight(r)] == [
        r for r in program.routes if r in found.feedback
    ]
    if rule in READERS:
        assert len(found.feedback) == len(program.routes)
    elif rule != "mixed":
        assert not found.feedback
    assert bool(found.exact) == (rule in ("bp", "usf", "mixed", "frozen"))
