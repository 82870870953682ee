"""`benchmarks/gpu.py` without a GPU: what it holds before it times, and that nothing is on another device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from benchmarks import gpu
from fac.bench import cases
from fac.bench.case import narrowed
from fac.bench.contenders import COMPILED, Entry
from fac.bench.contenders.eager import Eager, compiled
from fac.bench.results import BASELINE, DEFAULTS
from fac_torch import captured
from fac_torch.session import BLOCK
from tests.cuda.conftest import watched
from tests.cuda.tape import taped
from tests.cuda.watch import Watch

__all__ = ["watched"]
TINY = "tiny"


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that several steps are one graph."""
    monkeypatch.setitem(cases.CASES, TINY, cases.Entry("tiny", "dense", (16, 4)))


def test_graphs_of_several_steps_are_held_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    taped(monkeypatch)
    found = gpu.measured(TINY, ["bp", "ldfa"], 2, "cpu", "highest")
    assert list(found["milliseconds"]) == [BASELINE, DEFAULTS, "fac bp", "fac ldfa", gpu.SINGLE]
    assert found["left"] == {}
    assert max(found["deviation"].values()) < 1e-2
    assert f"| {gpu.SINGLE} |" in gpu.shown(found)


def test_a_graph_that_is_wrong_once_it_is_recorded_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, and in the first call, its numbers are right: what is held is the graph."""
    taped(monkeypatch)
    recorded = captured.recorded

    def faulty(work: Callable[[], None]) -> Callable[[], None]:
        again, calls = recorded(work), [0]

        def replay() -> None:
            calls[0] += 1
            if calls[0] == 1:
                again()

        return replay

    monkeypatch.setattr(captured, "recorded", faulty)
    found = gpu.measured(TINY, ["bp"], 1, "cpu", "highest")
    assert list(found["milliseconds"]) == [BASELINE, DEFAULTS, gpu.SINGLE]
    assert found["left"]["fac bp"].startswith(f"after {BLOCK} steps it is ")
    assert "- not timed: fac bp, after" in gpu.shown(found)


def test_products_in_tf32_are_held_as_those_that_round() -> None:
    (case, _), ten = cases.made("mlp-1024"), gpu.Rounding
    eased = ten(**{name: getattr(case, name) for name in case.__dataclass_fields__})
    assert eased.spec("ldfa") == case.spec("ldfa")
    assert eased.tolerance("bp") == case.tolerance(narrowed("bp")) > case.tolerance("bp")
    assert replace(eased, rounded=0.1).tolerance("bp") == pytest.approx(0.3)


def test_all_of_a_contender_of_fac_is_on_the_device(watched: Callable[..., Watch]) -> None:
    """Tensors that are nowhere: two devices in one op, a batch on the host, and what waits, are found.

    Torch cannot move modules of such tensors, so eager ones are not looked at.
    """
    case, _ = cases.made(TINY)
    entries = gpu.contenders(case, ["bp", "ldfa"], "cuda", "highest")
    ours = [entry for entry in entries if entry.name.startswith("fac ")]
    assert [entry.name for entry in ours] == ["fac bp", "fac ldfa", gpu.SINGLE]
    assert {entry.name for entry in entries} - {entry.name for entry in ours} == {
        BASELINE,
        DEFAULTS,
        COMPILED,
    }

    def training(watch: Watch, entry: Entry) -> None:
        built = entry.build(case, None, "float32")
        built.load(built.state())
        placed = [built.place(*batch) for batch in case.batches(BLOCK, "float32")]
        for _ in range(built.settling + 1):
            watch.guard("training", built.steps)(placed)

    for entry in ours:
        watch = watched(lambda watch, entry=entry: training(watch, entry))
        assert watch.seen >= {"training", "step"}
        assert ("recorded" in watch.seen) == (entry.name != gpu.SINGLE)
        assert watch.found == [], entry.name


def test_every_module_of_a_process_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch counts what it has compiled, and runs what is beyond its limit as it is."""
    found: list[int] = []
    compile, case = torch.compile, cases.made(TINY)[1]

    def counting(net: torch.nn.Module, **_: object) -> object:
        return compile(net, dynamic=False, backend=lambda made, _: found.append(1) or made)  # type: ignore[func-returns-value]

    monkeypatch.setattr(torch, "compile", counting)
    with torch._dynamo.config.patch(recompile_limit=2):
        for batch in range(2, 6):
            made: Eager = compiled(replace(case, batch=batch), None, "float32", mode="highest")
            assert len(found) == batch - 1, made
