"""Who is timed, in which order, and who is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fac.bench import cases, memory, oracle, running
from fac.bench.case import Case, narrowed
from fac.bench.contenders import Entry, State, UnfitError, every
from fac.bench.contenders.by_hand import ByHand
from fac.bench.contenders.eager import Eager
from fac.bench.contenders.emitted import Emitted
from fac.bench.results import BASELINE
from fac.tuning.deviation import deviation
from fac.tuning.rounds import ratios, rounds, spread

TINY = "tiny"


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cases.CASES, TINY, cases.Entry("tiny", "dense", (65, 4)))


class Clock:
    """Time that passes by what is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Ticking:
    """Takes so long; outside of the clock ten times as long."""

    def __init__(self, clock: Clock, name: str, takes: float, log: list[str], gone: int = 99) -> None:
        self.clock, self.name, self.takes, self.log, self.rest = clock, name, takes, log, gone

    def ready(self) -> None:
        self.clock.now += 10 * self.takes

    def run(self) -> None:
        self.log.append(self.name)
        self.clock.now += self.takes

    def left(self) -> str:
        self.rest -= 1
        return "gone" if self.rest == 0 else ""


def test_rounds_interleave_and_time_the_turn_alone() -> None:
    clock, log = Clock(), list[str]()
    takes = {"a": 1.0, "b": 2.0, "c": 4.0}
    turns = {name: Ticking(clock, name, each, log) for name, each in takes.items()}
    seconds, left = rounds(turns, 8, clock, lambda _: None)
    assert seconds == {name: [each] * 8 for name, each in takes.items()}
    assert not left
    orders = [tuple(log[i : i + 3]) for i in range(0, 24, 3)]
    assert {frozenset(order) for order in orders} == {frozenset("abc")}
    assert len(set(orders)) > 1


def test_who_fails_in_a_round_is_left_out() -> None:
    clock, log = Clock(), list[str]()
    turns = {"a": Ticking(clock, "a", 1, log), "b": Ticking(clock, "b", 1, log, gone=2)}
    seconds, left = rounds(turns, 5, clock, lambda _: None)
    assert left == {"b": "gone"}
    assert list(seconds) == ["a"]
    assert log.count("b") == 2


def test_ratios_are_made_within_a_round() -> None:
    assert ratios([1.0, 10.0], [2.0, 5.0]) == [0.5, 2.0]
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, 2.0, 4.0)


def test_each_case_has_an_oracle_that_autograd_and_numpy_bear_out() -> None:
    names = ("mlp-64", "vgg8", "conv3-norm", "resnet18", "vit", "feed", "lora-2048", "lora-vit")
    exact = dict.fromkeys(names, "bp")
    others = {"vgg8": "ldfa", "feed": "direct_ldfa", "lora-2048": "ldfa_fixed"}
    for name, rule in [*exact.items(), *others.items()]:
        assert oracle.proved(cases.made(name)[1], rule) < oracle.EXACT


def test_the_step_by_hand_is_that_of_the_rule() -> None:
    """In float64 as NumPy has it, momenta and all that stands still, too; and it is timed beside the rule."""
    case, rule = cases.made("lora-2048")[1], "ldfa_fixed"
    state = oracle.initial(case, rule)
    reference = Emitted(case, state, "float64", rule=rule, backend="reference")
    hand = ByHand(case, state, "float64", mode="highest")
    assert hand.state().keys() == state.keys()
    expected = oracle.moved(case, reference, "float64")
    assert deviation(oracle.moved(case, hand, "float64"), expected, state) < oracle.EXACT
    assert hand.steps([hand.place(*case.batches(1, "float64")[0])]) > 0
    named = [one.name for one in every(cases.made("lora-4096")[0], [rule], "highest", peers=False)]
    assert named[-2:] == ["fac ldfa_fixed", "ldfa_fixed by hand"]


def test_onnxruntime_is_timed_where_a_case_says_so() -> None:
    """Step by step, and where steps are short many to a call."""
    ours = {
        name: [
            one.name
            for one in every(cases.made(name)[1], ["bp", "fa"], "highest", peers=False)
            if "onnx" in one.name
        ]
        for name in ("vgg8", "feed", "mlp-64", "resnet18")
    }
    calls = [f"fac {rule}, onnx, many steps to a call" for rule in ("bp", "fa")]
    assert ours == {"vgg8": ["fac bp, onnx"], "feed": ["fac bp, onnx"], "mlp-64": calls, "resnet18": []}


class Wrong(Eager):
    """Forgets the gradient of one weight."""

    def backward(self, x: Any, y: Any) -> Any:
        loss = super().backward(x, y)
        grad = next(self.net.parameters()).grad
        assert grad is not None
        grad.zero_()
        return loss


def missing(case: Case, state: State | None, precision: str) -> Eager:
    raise UnfitError("it is not installed")


def test_one_case_from_beginning_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not installed, and whose steps are wrong, is not timed; all others of the same rule are."""

    def others(case: Case, rules: Sequence[str], mode: str, *, peers: bool) -> list[Entry]:
        def wrong(case: Case, state: State | None, precision: str) -> Eager:
            return Wrong(case, state, precision, mode=mode, fused=True)

        found = [one for one in every(case, rules, mode, peers=peers) if one.name != "BioTorch dfa"]
        found = [one for one in found if not one.name.startswith("torch.compile")]
        return [*found, Entry("wrong", "bp", wrong), Entry("missing", "dfa", missing)]

    monkeypatch.setattr(running, "every", others)

    def peak(case: str, contender: str, *_: object) -> float:
        if contender == "fac dfa":
            raise UnfitError("it ended")
        return 7.0

    monkeypatch.setattr(running, "MOST", 2)
    monkeypatch.setattr(running, "peak", peak)
    said: list[str] = []
    found = running.measured(TINY, ["bp", "dfa", "another"], 2, 1, peers=True, memory=True, say=said.append)
    assert list(found.timed) == [
        BASELINE,
        "eager, default flags",
        "fac bp",
        "fac dfa",
        "TinyDFA's method",
    ]
    assert found.left["missing"] == "it is not installed"
    assert found.left["fac another"] == "the network of this case has no such rule"
    assert found.left["peak of fac dfa"] == "it ended"
    assert (found.timed["fac bp"].memory, found.timed["fac dfa"].memory) == (7.0, None)
    assert found.left["wrong"].endswith("from its float64 oracle")
    assert list(found.floors) == ["bp", "dfa"]
    assert found.feedback == {}, "neither has settings"
    assert all(len(one.seconds) == 2 for one in (*found.timed.values(), *found.floors.values()))
    assert 0 < max(one.deviation for one in found.timed.values()) < cases.made(TINY)[0].rounded
    assert any("wrong is not timed" in line for line in said)
    assert any("no peak of fac dfa: it ended" in line for line in said)
    assert any("no fac another" in line for line in said)


def test_why_there_is_no_peak_is_told() -> None:
    with pytest.raises(UnfitError, match=r"a process that builds it ended with .*ValueError"):
        memory.peak("mlp-64", "nobody", 1, "highest")


def test_memory_is_that_of_the_network() -> None:
    """784-1024-...: weights, velocities and gradients are 45 MiB, which eager torch cannot do without."""
    found = memory.peak("mlp-1024", BASELINE, 1, "highest")
    assert 45 < found < 200


def test_what_is_no_number_is_infinitely_far() -> None:
    before = {name: np.zeros(3) for name in "abc"} | {"still": np.zeros(2)}
    moved = {name: np.ones(3) for name in "abc"} | {"still": np.zeros(2)}
    assert deviation(moved, moved, before) == 0.0
    for name in before:
        assert deviation(moved | {name: np.full_like(before[name], np.nan)}, moved, before) == np.inf
    assert deviation(moved | {"still": np.full(2, 1e-9)}, moved, before) == np.inf
    assert deviation({}, moved, before) == np.inf


def test_a_rule_in_bfloat16_has_an_oracle_that_rounds() -> None:
    """Its spec, its tolerance, and who is timed: the rules that the case says, among those that are asked for."""
    case, small = cases.made("mlp-1024")
    assert case.spec(narrowed("ldfa"))["train"] == {"batch": 128, "mixed_precision": "bfloat16"}
    assert case.spec(narrowed("ldfa"))["feedback"] == case.spec("ldfa")["feedback"]
    assert case.tolerance(narrowed("bp")) > case.tolerance("bp")
    named = [one.name for one in every(case, ["ldfa"], "highest", peers=False) if "bfloat16" in one.name]
    assert named == ["fac ldfa in bfloat16"]
    assert oracle.proved(small, narrowed("ldfa")) < oracle.EXACT


def test_only_what_would_stand_still_may_waver_in_bfloat16() -> None:
    """P of all directions of an error; a weight that a contender leaves where it was is seen."""
    case, rule = cases.made(TINY)[0], narrowed("ldfa")
    case = replace(case, rules={**case.rules, "ldfa": {"rule": "ldfa", "rank": 10}})
    begun = oracle.initial(case, rule)
    expected = oracle.moved(case, Emitted(case, begun, "float64", rule=rule, backend="torch"), "float64")
    still = oracle.standing(case, rule, begun, oracle.STEPS)
    assert still == {"logits.feedback.P"}
    assert oracle.standing(case, "ldfa", begun, oracle.STEPS) == frozenset()
    found = oracle.moved(case, Emitted(case, begun, "float32", rule=rule, backend="torch"), "float32")
    assert oracle.apart(found, expected, begun, still) < case.tolerance(rule)
    left = {**found, "fc3.weight": begun["fc3.weight"]}
    assert oracle.apart(left, expected, begun, still) > 0.9
    wavering = {**found, "logits.feedback.P": 1.02 * begun["logits.feedback.P"]}
    assert oracle.apart(wavering, expected, begun, still) > 1
