"""Anchors: steps with another routing at every so many, on one state."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.backend import Session
from fac.build.costs import cost
from fac.pipeline import check, compile, compiled, load, lowered
from fac.program.lower import lower
from fac.program.program import Program
from fac.render import show
from fac.render.facts import as_json
from fac.render.lineage import Lineage
from fac.spec.model import ModelSpec
from fac.step.text import to_text
from fac.training.dataset import Dataset, Split
from fac.training.logs import Listener
from fac.training.loop import StoppedError, train
from tests.rules.nets import BP, Spec, batch, dense, spec

NET = dense(9, 8, 4, act="tanh")
LEARNED: Spec = {"rule": "dfa", "learn": {"rule": "forward_gradient"}}
ADAM: Spec = {"rule": "adam", "lr": 0.01}
MAPS: tuple[Spec, ...] = (
    {"kind": "conv2d", "name": "c1", "out": 4, "kernel": 3},
    {"kind": "relu"},
    {"kind": "max_pool2d", "kernel": 2},
    {"kind": "conv2d", "name": "c2", "out": 3, "kernel": 2, "bias": False},
    {"kind": "batch_norm"},
    {"kind": "relu"},
    {"kind": "flatten"},
    {"kind": "linear", "name": "out", "out": 4},
)


def anchored(feedback: Spec = LEARNED, every: int = 3, rule: str = "bp", **fields: Any) -> Spec:
    made = spec(NET, feedback, ADAM)
    return made | {"train": {"seed": 0, "anchor": {"every": every, "rule": rule}}} | fields


def alone(of: Spec) -> Spec:
    """Without anchors."""
    return of | {"train": {"seed": 0}}


def opened(of: Spec, backend: str = "reference") -> Session:
    return compile(of, backend=backend, precision="float64").open(device="cpu")


def data(number: int) -> tuple[Any, Any]:
    return batch(seed=number)


def same(a: Any, b: Any, atol: float = 0.0) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=atol, err_msg=name)


def test_each_third_step_is_one_of_the_rule_and_the_others_are_not() -> None:
    """By two sessions without anchors, between which the state goes to and fro."""
    session, usual, exact = opened(anchored()), opened(alone(anchored())), opened(alone(anchored(BP)))
    state = session.state()
    for number in range(7):
        turn = exact if (number + 1) % 3 == 0 else usual
        turn.load_state({k: v for k, v in state.items() if k in turn.state()})
        loss = turn.step(*data(number))["loss"]
        state = state | turn.state()
        assert float(session.step(*data(number))["loss"]) == float(loss)
        same(session.state(), state)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
@pytest.mark.parametrize("net", ["dense", "maps"])
def test_backends_agree(backend: str, net: str) -> None:
    made = anchored(every=2)
    if net == "maps":
        made = made | {"layers": MAPS, "input": {"shape": (2, 8, 8)}}
    one, other = opened(made), opened(made, backend)
    other.load_state(one.state())
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.standard_normal((6, *((2, 8, 8) if net == "maps" else (7,))))
        y = rng.integers(0, 4, 6)
        assert abs(float(one.step(x, y)["loss"]) - float(other.step(x, y)["loss"])) < 1e-10
    same(one.state(), other.state(), 1e-9)


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_state_goes_on_where_it_was_to_the_bit(backend: str) -> None:
    """Broken off before an anchor, and after one."""
    whole = opened(anchored(), backend)
    for number in range(8):
        whole.step(*data(number))
    parts = opened(anchored(), backend)
    for number in range(8):
        if number in (2, 3, 6):
            state = parts.state()
            parts = opened(anchored(), backend)
            parts.load_state(state)
        parts.step(*data(number))
    same(parts.state(), whole.state())


@pytest.mark.parametrize("net", ["dense", "maps"])
def test_a_written_torch_folder_has_both_steps(net: str, tmp_path: Path) -> None:
    made = anchored(every=2)
    if net == "maps":
        made = made | {"layers": MAPS, "input": {"shape": (2, 8, 8)}}
    artifact = compile(made, backend="torch", precision="float64")
    artifact.write(tmp_path)
    text = (tmp_path / "step.py").read_text()
    assert "Where (t + 1) % 2 == 0, `anchor.step` is called in the place of `step`" in text
    shape = (2, 8, 8) if net == "maps" else (7,)
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np, torch
import anchor, kernels, step
torch.set_num_threads(1)
S = kernels.load_state({str(tmp_path / "state.safetensors")!r})
one, other = step.workspace(S, 6), anchor.workspace(S, 6)
rng = np.random.default_rng(0)
for t in range(5):
    x = torch.from_numpy(rng.standard_normal((6, *{shape})))
    y = torch.from_numpy(rng.integers(0, 4, 6))
    due = (t + 1) % 2 == 0
    (anchor if due else step).step(S, other if due else one, x, y, 0.01, t)
np.savez({str(tmp_path / "after.npz")!r}, **{{k: v.numpy() for k, v in S.items()}})
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    session = artifact.open(device="cpu")
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.standard_normal((6, *shape))
        session.step(x, rng.integers(0, 4, 6))
    with np.load(tmp_path / "after.npz") as after:
        state = session.state()
        assert set(after) >= state.keys() - {"step"}
        same(
            {k: after[k] for k in state if k != "step"},
            {k: v for k, v in state.items() if k != "step"},
            1e-12,
        )


def test_a_written_reference_folder_has_both_steps(tmp_path: Path) -> None:
    compile(anchored(), backend="reference").write(tmp_path)
    assert (tmp_path / "anchor.ir").read_text() != (tmp_path / "step.ir").read_text()


@pytest.mark.parametrize("steps", [3, 4, 6])
def test_a_training_that_is_broken_off_is_the_unbroken_one(steps: int) -> None:
    """Before an anchor, behind it, and within an epoch of five steps."""
    made = anchored(every=4)
    made["train"] |= {"epochs": 3, "batch": 16}
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((80, 7)), rng.integers(0, 4, 80)
    split = Split(x, y)
    dataset, read = Dataset("random", split, split), load(made)
    whole, parts = opened(made), opened(made)
    train(whole, dataset, read)
    with pytest.raises(StoppedError):
        train(parts, dataset, read, stop=lambda: parts.steps == steps)
    after = opened(made)
    after.load_state(parts.state())
    train(after, dataset, read)
    same(after.state(), whole.state())


@pytest.mark.parametrize(("every", "told"), [(15, False), (16, True)])
def test_an_anchor_that_never_comes_is_told_where_only_the_data_tell(every: int, told: bool) -> None:
    """As many steps as there are would have one; of a spec without data nobody knows before."""
    made = anchored(every=every)
    made["train"] |= {"epochs": 3, "batch": 16}
    rng = np.random.default_rng(0)
    split, other = (Split(rng.standard_normal((80, 7)), rng.integers(0, 4, 80)) for _ in range(2))
    heard: list[str] = []

    class Heard(Listener):
        def said(self, text: str) -> None:
            heard.append(text)

    train(opened(made), Dataset("random", split, other), load(made), listener=Heard())
    text = "warning: `train.anchor` has no effect before step 16, and the training ends with step 15"
    assert heard == [text] * told


def test_what_the_ordinary_rule_freezes_may_learn_in_anchors() -> None:
    """Then the optimiser state of both is the state."""
    session = opened(anchored({"rule": "shallow"}, every=2))
    start = session.state()
    assert "fc1.weight.square" in start
    session.step(*data(0))
    np.testing.assert_array_equal(session.state()["fc1.weight"], start["fc1.weight"])
    session.step(*data(1))
    assert np.abs(session.state()["fc1.weight"] - start["fc1.weight"]).max() > 1e-4


def test_the_step_of_all_others_is_what_it_is_without_anchors() -> None:
    with_, without = (compiled(lowered(s)) for s in (anchored(), alone(anchored())))
    assert to_text(with_.step) == to_text(without.step)
    assert without.anchor is None
    assert with_.anchor is not None
    exact = compiled(lowered(alone(anchored(BP))))
    assert to_text(with_.anchor.step).partition("\n")[2] == to_text(exact.step).partition("\n")[2]


def test_all_checks_read_one_program_of_the_anchors(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def told(spec: ModelSpec) -> Program:
        made.append(spec.name)
        return lower(spec)

    monkeypatch.setattr("fac.program.lower.lower", told)
    assert not check(anchored())
    assert len(made) == 1


def test_weight_transport_in_anchors_is_transport() -> None:
    demanded = {"constraints": {"no_weight_transport": True}}
    assert not check(alone(anchored()) | demanded)
    (finding,) = check(anchored() | demanded)
    assert finding.rule.code == "FAC350"
    assert finding.path == ("train", "anchor", "rule")
    assert "in anchors errors pass through the forward weights of `fc2` and `fc3`" in finding.message


@pytest.mark.parametrize(
    ("rule", "code", "message"),
    [
        ({"rule": "fa"}, "FAC336", "`fa` has feedback matrices"),
        ({"rule": "shallow", "nodes": "fcx*"}, "FAC209", "matches `fcx*`"),
    ],
)
def test_what_is_wrong_with_the_rule_is_said_where_it_stands(rule: Spec, code: str, message: str) -> None:
    made = anchored()
    made["train"] = {"seed": 0, "anchor": {"every": 3, **rule}}
    (finding,) = [f for f in check(made) if f.rule.code == code]
    assert finding.path[:2] == ("train", "anchor")
    assert message in finding.message


def test_what_makes_no_steps_has_no_anchors() -> None:
    solved = {k: v for k, v in anchored(BP).items() if k not in ("update", "feedback")}
    findings = check(solved | {"solve": {"rule": "zorb"}, "loss": {"kind": "mse"}})
    assert ("train", "anchor") in {f.path for f in findings if f.rule.code == "FAC251"}


def test_the_larger_of_both_steps_has_to_fit() -> None:
    """With so many samples the errors of backpropagation take more than those of a layer that learns alone."""
    shallow = anchored({"rule": "shallow"})
    program = lowered(shallow)
    counted = cost(program, 128)
    assert counted.anchor is not None
    assert counted.anchor.peak_bytes > counted.step.peak_bytes
    limit = (counted.anchor.peak_bytes + counted.step.peak_bytes) // 2
    bounded = {"constraints": {"peak_memory": {"at_most": limit}}}
    assert not check(alone(shallow) | bounded)
    assert [f.rule.code for f in check(shallow | bounded)] == ["FAC502"]


def test_show_says_it() -> None:
    program = lowered(anchored())
    lineage, counted = Lineage(program), cost(program, 128)
    table = show.layers(program, lineage, counted)
    assert "one of 3 steps: bp, weight transport: fc2, fc3\n" in table
    assert table.endswith("     weight transport: none but in anchors\n")
    assert "in anchors: backward multiply-adds" in show.costs(counted)
    told = as_json(program, lineage, counted)["anchor"]
    assert (told["every"], told["rule"], told["weight_transport"]) == (3, "bp", ["fc2", "fc3"])
    assert told["backward_ratio"] == 1.0
    other = lowered(alone(anchored()))
    assert as_json(other, Lineage(other), cost(other, 128))["anchor"] is None
