"""What is chosen: by error first, then by rounds, of which there are so many and no more."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fac.backend import Artifact
from fac.pipeline import compiled, find_backend, lowered
from fac.testing.nets import NET, Layers, spec
from fac.tuning import MODES, trials, tuned
from fac.tuning.batches import drawn
from fac.tuning.trials import CHECKED, ROUNDS, search
from tests.tuning.fakes import artifact, oracle


def test_the_fastest_of_those_that_are_right() -> None:
    """`rough` and `wild` are five times as fast, and wrong."""
    found = artifact()
    choices, tried = search(found, "cpu", oracle, found.time)
    assert choices == {"way": "quick", "call": "four"}
    by_way = {one.way: one for one in tried}
    assert [way for way, one in by_way.items() if one.chosen] == ["quick", "four"]
    assert by_way["rough"].gain is None
    assert by_way["rough"].error > 1e-2
    assert by_way["wild"].gain is None
    assert by_way["plain"].error < 1e-5
    assert by_way["plain"].gain == 1.0
    assert by_way["quick"].gain == pytest.approx(2.0 / 1.5)
    assert by_way["hardly"].gain == pytest.approx(2.0 / 1.98)
    assert by_way["four"].gain == pytest.approx(1.5 / (0.5 + 1 / 4))


def test_what_gains_little_is_not_worth_other_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "GAIN", 1.4)
    found = artifact()
    choices, tried = search(found, "cpu", oracle, found.time)
    assert choices == {"way": "plain", "call": "four"}
    assert [one.way for one in tried if one.chosen] == ["plain", "four"]


def test_rounds_are_counted_and_later_knobs_are_turned_with_the_earlier_ones() -> None:
    """Steps of a way: those that are checked, one call that warms up, one to see how long it is, and the rounds."""
    found = artifact()
    search(found, "cpu", oracle, found.time)
    steps = Counter(found.time.made)
    assert steps["plain one"] == CHECKED + 1 + 1 + ROUNDS
    assert steps["rough one"] == CHECKED
    assert steps["quick one"] == (CHECKED + 1 + ROUNDS) + (CHECKED + 1 + 1 + ROUNDS)
    assert steps["quick four"] == CHECKED + 4 * (1 + ROUNDS)
    assert not any(way in steps for way in ("plain four", "rough four", "hardly four"))


def test_nothing_to_choose() -> None:
    reference = find_backend("reference").emit(compiled(lowered(spec(NET))), "float32")

    def never() -> Artifact:
        raise AssertionError("no oracle is needed")

    for mode in MODES:
        said = ["nothing is measured: `reference` has one way"] if mode == "full" else []
        made = tuned(reference, "reference", "cpu", mode, never, lambda: pytest.fail("a clock is asked"))
        assert made.artifact is reference
        assert [line.split(" to compute")[0] for line in made.lines] == said


def test_batches_fit_what_they_are_for() -> None:
    layers: Layers = (
        {"kind": "embedding", "name": "e", "num_embeddings": 5, "out": 4},
        {"kind": "flatten"},
        *NET[-1:],
    )
    data = spec(layers, loss="bce")
    data["input"] = {"shape": (3,), "classes": 5}
    feeds = compiled(lowered(data)).feeds
    found = drawn(feeds, 200, "float32")
    assert {name: array.shape for name, array in found.items()} == {"x": (200, 3), "y": (200, 3)}
    assert {*np.unique(found["x"])} == {0, 1, 2, 3, 4}
    assert found["y"].dtype == np.float32
    assert 0 <= found["y"].min() < 0.05
    assert 0.95 < found["y"].max() <= 1
    again = drawn(feeds, 200, "float32")
    assert all((found[name] == again[name]).all() for name in found)
