"""`--tune`: what a run keeps of what was chosen, and that it goes on so wherever something else was measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fac
from fac.diagnostics import FacError
from fac.experiments.samples import network
from fac.pipeline import emit, find_backend, lowered
from fac.training import checkpoint
from fac.tuning import cache
from fac.tuning.trials import is_tried

Run = Callable[..., tuple[int, str, str]]
TORCH = ("--backend", "torch", "--device", "cpu")
ONE = ("--set", "train.epochs=1")
SPEC = """\
fac: 1
name: maps
input: {shape: [8, 8]}
layers:
  - {kind: reshape, shape: [1, 8, 8]}
  - {kind: conv2d, name: c1, out: 4, kernel: 3, padding: 1}
  - {kind: relu}
  - {kind: conv2d, name: c2, out: 4, kernel: 3, padding: 1}
  - {kind: relu}
  - {kind: flatten}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
feedback: {rule: bp}
update: {rule: sgd, lr: 0.05}
data: {source: digits}
train: {epochs: 2, batch: 64}
probes: []
"""


@pytest.fixture
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec whose numbers depend on how maps lie, and a cache of its own."""
    monkeypatch.setenv("FAC_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "maps.fac.yaml"
    path.write_text(SPEC)
    return path


def measured(spec: Path, **choices: str) -> None:
    """As if this machine had found these to be the fastest."""
    made = emit(lowered(str(spec)), find_backend("torch"))
    cache.keep(cache.key(made, "torch", "cpu"), choices, ())


def chosen(folder: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(checkpoint.about(Path(folder))["choices"])
    return found


def state(folder: str) -> dict[str, Any]:
    return checkpoint.load(Path(folder)).state


def same(one: str, other: str) -> bool:
    """To the bit."""
    ours, theirs = state(one), state(other)
    return all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_run_goes_on_as_it_was_tuned_where_something_else_was_measured(run: Run, maps: Path) -> None:
    measured(maps, maps="rows")
    _, _, err = run("train", maps, *TORCH, "--out", "whole")
    assert "as measured on this machine before: maps `rows`\n" in err
    assert chosen("whole")["maps"] == "rows"
    _, _, err = run("train", maps, *TORCH, *ONE, "--out", "parts")
    measured(maps, maps="last")  # another machine
    _, _, err = run("train", "--resume", "parts", "--set", "train.epochs=2")
    assert "measured" not in err
    assert "goes on" not in err
    assert same("whole", "parts")
    assert chosen("parts") == chosen("whole")
    assert network(Path("parts")).session.maps == ()  # type: ignore[attr-defined]
    assert run("train", maps, *TORCH, "--out", "other")[0] == 0
    assert chosen("other")["maps"] == "last"
    assert network(Path("other")).session.maps == ("c2.weight",)  # type: ignore[attr-defined]
    assert not same("whole", "other"), "the choice changes digits, or this test could not fail"


def test_a_run_from_before_there_were_choices_went_the_usual_ways(
    run: Run, maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", maps, *TORCH, "--tune", "off", "--out", "whole")[0] == 0
    with monkeypatch.context() as before:
        kept = fac.experiments.passed.kept
        before.setattr(
            "fac.experiments.passed.kept",
            lambda *given: {key: text for key, text in kept(*given).items() if key != "choices"},
        )
        assert run("train", maps, *TORCH, *ONE, "--out", "parts")[0] == 0
    assert "choices" not in checkpoint.about(Path("parts"))
    measured(maps, maps="rows")
    assert run("train", "--resume", "parts", "--set", "train.epochs=2")[0] == 0
    assert same("whole", "parts")
    assert chosen("parts")["maps"] == "last"


def test_another_choice_is_said(run: Run, maps: Path) -> None:
    assert run("train", maps, *TORCH, *ONE, "--out", "a")[0] == 0
    measured(maps, maps="rows")
    longer = ("--set", "train.epochs=2")
    _, _, err = run("train", "--resume", "a", *longer, "--tune", "auto")
    assert (
        "this run goes on with maps `rows` instead of `last`: equal up to rounding, not bit for bit\n" in err
    )
    assert chosen("a")["maps"] == "rows"


def test_a_choice_that_there_is_not_here_is_said(
    run: Run, maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a CPU where the setting would round to bfloat16."""
    with monkeypatch.context() as there:
        there.setattr("fac_torch.tuning.float32_libraries", lambda kind: ("highest", "medium"))
        measured(maps, products="medium")
        assert run("train", maps, *TORCH, *ONE, "--out", "a")[0] == 0
    assert chosen("a")["products"] == "medium"
    monkeypatch.setattr("fac_torch.tuning.float32_libraries", lambda kind: ("highest",))
    _, _, err = run("train", "--resume", "a", "--set", "train.epochs=2")
    assert (
        "this run went with products `medium`, which cannot be chosen here, and goes on with `highest`: equal up to "
        "rounding, not bit for bit\n"
    ) in err
    assert chosen("a")["products"] == "highest"


def test_full_prints_what_it_tried_and_keeps_it(run: Run, maps: Path) -> None:
    """The clock decides, and is not asked for its opinion."""
    status, out, err = run("train", maps, *TORCH, *ONE, "--tune", "full", "--out", "a", "--json")
    assert status == 0
    assert json.loads(out)["steps"] == 21
    lines = err.splitlines()
    assert lines[0] == "measuring which ways this machine computes `maps` fastest"
    assert lines[1].startswith("tuned for ")
    knobs = fac.compile(maps, "torch").knobs("cpu")
    tried = [(knob.name, way) for knob in knobs if is_tried(knob) for way in knob.ways]
    assert [tuple(line.split()[:2]) for line in lines[3 : 3 + len(tried)]] == tried
    (kept,) = (Path("cache") / "tuning").iterdir()
    found = json.loads(kept.read_text())["choices"]
    assert chosen("a") == found
    assert run("train", maps, *TORCH, *ONE, "--out", "b")[0] == 0
    assert chosen("b") == found
    assert same("a", "b")


def test_comparisons_do_not_go_by_a_cache(run: Run, maps: Path) -> None:
    """What one process finds there another may not, and pairs of seeds would differ in their last digits."""
    measured(maps, maps="rows")
    few = ("--rules", "bp", "--seeds", "1", "--no-audit", *ONE)
    assert run("compare", maps, *TORCH, *few, "--out", "kept")[0] == 0
    assert chosen("kept/runs/01-bp-seed-0")["maps"] == "last"
    assert run("train", maps, *TORCH, *ONE, "--tune", "off", "--out", "off")[0] == 0
    assert same("kept/runs/01-bp-seed-0", "off")


def test_in_python(maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    measured(maps, maps="rows")
    given: dict[str, Any] = {"backend": "torch", "device": "cpu", "overrides": {"train.epochs": 1}}
    assert fac.train(maps, **given).artifact.choices["maps"] == "rows"
    made = fac.train(maps, tune="off", **given)
    assert made.artifact.chosen("cpu")["maps"] == "last"
    artifact = fac.compile(maps, "torch").choosing({"maps": "rows"})
    assert "channels_last" not in artifact.passes
    assert artifact.open(device="cpu").maps == ()  # type: ignore[attr-defined]
    for wrong, said in (
        ("fast", "`tune` is `'fast'`: give one of `auto`, `off`, `full`"),
        (1, "`tune` is `1`"),
    ):
        with pytest.raises(FacError, match=said):
            fac.train(maps, tune=wrong, **given)  # type: ignore[arg-type]


def test_a_run_on_one_thread_by_choice_goes_on_where_one_is_set(
    run: Run, maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where two are set, that is said."""
    before = torch.get_num_threads()
    longer = ("--set", "train.epochs=2")
    try:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        torch.set_num_threads(2)
        measured(maps, threads="1")
        for name, epochs in (("whole", "2"), ("a", "1"), ("b", "1")):
            run("train", maps, *TORCH, "--set", f"train.epochs={epochs}", "--out", name)
        assert checkpoint.about(Path("a"))["threads"] == chosen("a")["threads"] == "1"
        _, _, err = run("train", "--resume", "a", *longer)
        assert "goes on" not in err
        assert same("whole", "a")
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert "this run was on 1 thread and goes on on 2: " in run("train", "--resume", "b", *longer)[2]
        torch.set_num_threads(1)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        _, _, err = run("train", "--resume", "a", "--set", "train.epochs=3")
        assert "goes on" not in err
    finally:
        torch.set_num_threads(before)
