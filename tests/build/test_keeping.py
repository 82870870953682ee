"""Parameters that groups of the update freeze, and gradients of which they keep those of some units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.backend import Array
from fac.build.functions import build_step
from fac.pipeline import compile, lowered
from fac.program.lower import lower
from fac.program.program import Program
from fac.program.tensors import Role
from fac.render.expand import expanded_data
from fac.spec.model import ModelSpec
from fac.step.ir import Phase
from fac.testing.nets import Data, batch, conv2d, linear, mlp, spec
from tests.checks.specs import chain, diagnosed, found

BACKENDS = ["reference", "torch", "onnx"]
LR = 0.1
NET = mlp(8, 6, 3)
FROZEN: Data = {"trainable": False}
KP: Data = {"rule": "fa", "learn": {"rule": "kolen_pollack"}}


def grouped(*groups: Data, layers: Any = NET, feedback: Any = None, **fields: Any) -> Data:
    """A spec whose update has these groups."""
    fields = {"shape": (5,)} | fields
    shape = fields.pop("shape")
    return spec(layers, feedback, {"rule": "sgd", "lr": LR, "groups": groups}, shape, **fields)


def stepped(
    of: Data, backend: str = "reference", steps: int = 1
) -> tuple[dict[str, Array], dict[str, Array]]:
    """State before and after some steps, in float64."""
    session = compile(of, backend=backend, precision="float64").open(device="cpu")
    before = session.state()
    for seed in range(steps):
        session.step(*batch(7, of["input"]["shape"], seed=seed))
    return before, session.state()


def movement(of: Data, backend: str = "reference") -> dict[str, Array]:
    """What one step takes away."""
    before, after = stepped(of, backend)
    return {name: before[name] - after[name] for name in before if name != "step"}


def learning(program: Program) -> set[str]:
    """Parameters that the step moves."""
    moved = {name for name, _ in build_step(program)[0].outputs}
    return {t.name for t in program.arrays if t.role is Role.PARAMETER} & moved


# -- freezing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frozen_parameter_stays_and_the_others_learn_as_they_do(backend: str) -> None:
    of, plain = grouped({"match": "fc1.*"} | FROZEN, {"match": "out.bias"} | FROZEN), movement(grouped())
    found = movement(of, backend)
    for name, moved in found.items():
        still = name.startswith("fc1.") or name == "out.bias"
        np.testing.assert_allclose(moved, 0 * moved if still else plain[name], atol=1e-12)


def test_nobody_asks_for_the_error_of_a_frozen_layer() -> None:
    """Neither a route nor a product is made for it: the step is that of layers that say so themselves."""
    first = {"match": "fc1.*"} | FROZEN
    layers = ({**NET[0], "trainable": False}, *NET[1:])
    for rule in ("bp", "fa", "dfa", "shallow"):
        program = lowered(grouped(first, feedback={"rule": rule}))
        other = lowered(grouped(layers=layers, feedback={"rule": rule}))
        assert [route.node for route in program.routes] == [route.node for route in other.routes]
        assert program.needed == other.needed
        ops, same = (build_step(which)[0].ops for which in (program, other))
        assert [(op.kind, op.origin) for op in ops] == [(op.kind, op.origin) for op in same]
        assert not [
            op for op in ops if op.origin.node == "fc1" and op.origin.phase in (Phase.GRADIENT, Phase.UPDATE)
        ]


def test_a_layer_learns_as_long_as_one_of_its_parameters_does() -> None:
    program = lowered(grouped({"match": "fc1.weight"} | FROZEN, feedback={"rule": "fa"}))
    assert [route.node for route in program.routes] == ["fc2", "out"]
    assert learning(program) == {"fc1.bias", "fc2.weight", "fc2.bias", "out.weight", "out.bias"}


def test_the_last_group_counts() -> None:
    groups = ({"match": "*"} | FROZEN, {"match": "out.*", "lr_scale": 0.5})
    assert learning(lowered(grouped(*groups))) == {"out.weight", "out.bias"}
    assert learning(lowered(grouped(*groups, {"match": "out.bias"} | FROZEN))) == {"out.weight"}


def test_blocks_shared_weights_and_norms() -> None:
    body = (linear("fc", 5), {"kind": "batch_norm", "name": "norm"}, {"kind": "relu"})
    block = {"kind": "repeat", "name": "block", "times": 2, "tie": True, "body": body}
    of = grouped({"match": "block.*"} | FROZEN, layers=(linear("first", 5), block, linear("out", 3)))
    program = lowered(of)
    assert learning(program) == {"first.weight", "first.bias", "out.weight", "out.bias"}
    assert all(not node.trainable for node in program.nodes if node.name.startswith("block.") and node.state)
    # What learns below still needs the error, and norms go forward, and move their averages, as before.
    before, after = stepped(of)
    assert (before["block.0.norm.running_mean"] != after["block.0.norm.running_mean"]).any()
    plain = movement(grouped(layers=of["layers"]))
    np.testing.assert_allclose(movement(of)["first.weight"], plain["first.weight"], atol=1e-14)


def test_expanding_keeps_what_is_frozen() -> None:
    for rule in ("fa", "dfa", "shallow"):
        of = grouped({"match": "fc2.*"} | FROZEN, feedback={"rule": rule})
        program = lowered(of)
        again = lower(ModelSpec.model_validate(expanded_data(program)))
        assert learning(again) == learning(program)
        assert [n.trainable for n in again.nodes] == [n.trainable for n in program.nodes]
        assert expanded_data(again) == expanded_data(program)


# -- units that are kept -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_so_many_units_are_kept_of_weight_and_bias_alike(backend: str) -> None:
    plain, of = movement(grouped()), grouped({"match": "fc1.*", "keep": 3})
    moved = movement(of, backend)
    kept = np.abs(moved["fc1.weight"]).max(1) > 0
    assert kept.sum() == 3
    for name in plain:
        rows = kept.reshape(-1, *(1,) * (plain[name].ndim - 1)) if name.startswith("fc1.") else 1.0
        np.testing.assert_allclose(moved[name], plain[name] * rows, atol=1e-12)


def test_which_units_they_are_is_a_matter_of_the_seed_and_grows_with_their_number() -> None:
    def kept(keep: int, seed: int = 0) -> set[int]:
        of = grouped({"match": "fc1.*", "keep": keep}, train={"seed": seed})
        before, after = stepped(of, steps=3)
        return set(np.flatnonzero(np.abs(before["fc1.weight"] - after["fc1.weight"]).max(1)).tolist())

    assert [len(kept(keep)) for keep in (1, 2, 5, 7)] == [1, 2, 5, 7]
    assert kept(1) < kept(2) < kept(5) < kept(7)
    assert len({frozenset(kept(3, seed)) for seed in range(4)}) > 1


def test_a_norm_that_clips_is_that_of_what_is_kept() -> None:
    at = 0.01
    of = grouped({"match": "*", "keep": 2})
    of["update"] |= {"clip": {"by": "norm", "at": at}}
    moved = movement(of)
    assert sum(float((g**2).sum()) for g in moved.values()) ** 0.5 == pytest.approx(LR * at, rel=1e-3)


def test_decay_goes_on() -> None:
    of = grouped({"match": "fc1.weight", "keep": 3, "weight_decay": 0.5})
    before, after = stepped(of)
    rows = np.isclose(after["fc1.weight"], before["fc1.weight"] * (1 - LR * 0.5), atol=1e-15).all(1)
    assert rows.sum() == 5


def test_feedback_that_follows_a_weight_keeps_the_same_units() -> None:
    of = grouped({"match": "fc2.*", "keep": 2}, feedback=KP)
    moved = movement(of)
    assert (np.abs(moved["fc2.weight"]).max(1) > 0).sum() == 2
    np.testing.assert_allclose(moved["fc2.feedback.B"], moved["fc2.weight"], atol=1e-15)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["conv2d", "conv_transpose2d", "grouped"])
def test_units_of_kernels_are_their_channels(kind: str, backend: str) -> None:
    layer = conv2d("c", 6, 3)
    if kind != "conv2d":
        layer |= {"kind": "conv_transpose2d"}
    if kind == "grouped":
        layer |= {"groups": 2}
    layers = (layer, {"kind": "relu"}, {"kind": "flatten"}, linear("out", 3))
    of = grouped({"match": "c.*", "keep": 2}, layers=layers, shape=(4, 5, 5))
    plain, moved = movement(grouped(layers=layers, shape=(4, 5, 5))), movement(of, backend)
    kept = np.flatnonzero(moved["c.bias"])
    assert len(kept) == 2
    groups = layer.get("groups", 1)

    def by_channel(weight: Array) -> Array:
        """Row i: what the bias of channel i stands beside."""
        if kind == "conv2d":
            return weight.reshape(6, -1)
        parts = weight.reshape(groups, 4 // groups, 6 // groups, -1)
        return np.asarray(parts.transpose(0, 2, 1, 3).reshape(6, -1))

    expected = np.zeros((6, 1))
    expected[kept] = 1
    np.testing.assert_allclose(
        by_channel(moved["c.weight"]), by_channel(plain["c.weight"]) * expected, atol=1e-12
    )


def test_rows_of_an_orthogonal_step_are_those_that_are_kept() -> None:
    """Also where it is found among the rows of the batch: NS(M g) = M NS(M g) for a mask M."""
    update: Data = {"rule": "gram_orthogonal", "lr": LR, "groups": ({"match": "fc1.*", "keep": 4},)}
    for n in (3, 1000):
        of = spec(mlp(9, 8, 3), None, update, (10,), train={"batch": n})
        session = compile(of, backend="reference", precision="float64").open()
        before = session.state()["fc1.weight"]
        session.step(*batch(3, (10,)))
        moved = before - session.state()["fc1.weight"]
        assert (np.abs(moved).max(1) > 0).sum() == 4


# -- findings ----------------------------------------------------------------------------------------------------


def of_groups(*groups: Data, feedback: Any = None, **fields: Any) -> list[tuple[str, str]]:
    update = {"rule": "sgd", "lr": 0.1, "weight_decay": 0.001, "groups": groups}
    return found(chain(8, 8), update=update, feedback=feedback or {"rule": "bp"}, **fields)


def test_what_says_nothing_is_told() -> None:
    frozen = {"match": "fc1.*"} | FROZEN
    assert of_groups(frozen, {"match": "fc2.*", "keep": 4}) == []
    assert of_groups({"match": "fc1"} | FROZEN) == [("FAC208", "update.groups[0].match")]
    assert of_groups({"match": "*.feedback.B"} | FROZEN, feedback=KP) == [
        ("FAC314", "update.groups[0].match")
    ]
    assert of_groups(frozen | {"lr_scale": 0.5, "keep": 3}) == [
        ("FAC314", "update.groups[0].lr_scale"),
        ("FAC314", "update.groups[0].keep"),
    ]
    assert of_groups(frozen, {"match": "fc1.weight"} | FROZEN) == []
    assert of_groups({"match": "fc1.weight"} | FROZEN, frozen) == []
    assert of_groups({"match": "fc1.[w]*"} | FROZEN, frozen) == [("FAC314", "update.groups[0].match")]
    names = {"match": "fc1.weight", "lr_scale": 2}, {"match": "fc1.bias", "lr_scale": 2}
    assert of_groups(*names, frozen) == [("FAC314", "update.groups[2].match")]
    assert of_groups({"match": "fc*", "keep": 8}) == [("FAC314", "update.groups[0].keep")]
    assert of_groups({"match": "*"} | FROZEN) == [("FAC206", "update.groups[0].match")]
    assert of_groups({"match": "logits.*", "keep": 3}) == [("FAC327", "update.groups[0].keep")]
    layers = ({"kind": "linear", "name": "fc1", "out": 8, "trainable": False}, *chain(8, 8)[1:])
    assert found(layers, update={"rule": "sgd", "lr": 0.1, "groups": (frozen,)}) == [
        ("FAC314", "update.groups[0].match")
    ]


def test_feedback_that_follows_is_told_of() -> None:
    assert of_groups({"match": "fc2.weight"} | FROZEN, feedback=KP) == [("FAC315", "feedback.learn")]
    assert of_groups({"match": "fc2.weight", "keep": 4}, feedback=KP) == [("FAC318", "update.groups[0]")]
    assert of_groups({"match": "fc2.*", "keep": 4}, feedback=KP) == []


def test_laws_of_conservation_drift() -> None:
    probes = ({"kind": "conservation"},)
    update = {"rule": "sgd", "lr": 0.1, "groups": ({"match": "fc1.*", "keep": 4},)}
    (one,) = diagnosed(chain(8, 8), update=update, probes=probes, feedback={"rule": "fa"})
    assert one.rule.code == "FAC328"
    assert "`keep` leaves out" in one.message


def test_rules_that_leave_everything_to_another_one() -> None:
    """A vector is none for `muon`, nor is what the loss reads: what they move there is written as such."""
    muon: Data = {"rule": "muon", "lr": 0.1}
    for match in ("*.bias", "logits.*"):
        assert of_groups({"match": match, "use": muon}) == [("FAC314", "update.groups[0].use.rule")]
        assert of_groups({"match": match, "use": {**muon, "rule": "gram_orthogonal"}}) == [
            ("FAC314", "update.groups[0].use.rule")
        ]
    assert of_groups({"match": "fc2.*", "use": muon}) == []
    (one,) = diagnosed((linear("logits", 4),), update=muon)
    assert one.message == "`muon` has no effect: it leaves `logits.weight` and `logits.bias` to `adamw`"
