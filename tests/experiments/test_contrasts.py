"""Statistics of contrasts against SciPy's own tests, an independent bootstrap, and simulated comparisons."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from fac.diagnostics import FacError
from fac.experiments.contrasts import (
    Contrast,
    Pair,
    contrast,
    declared,
    interval,
    power,
    remarks,
    runs_needed,
)

STORED = (
    (0.8816, 0.8615, 0.8640, 0.8690, 0.8715, 0.8766, 0.8564, 0.8791, 0.8602, 0.8665),
    (0.7229, 0.7960, 0.7355, 0.7330, 0.7758, 0.7531, 0.7481, 0.7884, 0.7280, 0.7607),
)
"""Accuracies of `bp` and `ldfa` on digits, ten seeds."""


def row(label: str, values: Any, *, classifies: bool = True) -> Any:
    name = "test_accuracy" if classifies else "test_loss"
    runs = [
        SimpleNamespace(
            seed=seed, warned=("risen",) * (v == 0.66), value=lambda asked, v=v: v if asked == name else None
        )
        for seed, v in enumerate(values)
    ]
    return SimpleNamespace(variant=SimpleNamespace(label=label), runs=runs, classifies=classifies)


def found(one: Any, other: Any, *, classifies: bool = True) -> Contrast:
    rows = [row("a", one, classifies=classifies), row("b", other, classifies=classifies)]
    return contrast(Pair("a", "b"), rows)


def test_they_are_those_of_scipy() -> None:
    one, other = map(np.array, STORED)
    ours, theirs = found(*STORED), stats.ttest_rel(one, other)
    assert ours.standard_error
    assert ours.difference
    assert ours.difference == pytest.approx((one - other).mean(), rel=1e-12)
    assert ours.difference / ours.standard_error == pytest.approx(theirs.statistic, rel=1e-12)
    assert ours.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-12)
    assert ours.standard_error == pytest.approx(stats.sem(one - other), rel=1e-12)
    assert ours.effect == pytest.approx(theirs.statistic / np.sqrt(len(one)), rel=1e-12)
    assert ours.verdict == "better"


def test_the_standard_error_is_that_of_a_bootstrap() -> None:
    """Which draws the differences anew, and divides by n where s divides by n − 1."""
    one, other = map(np.array, STORED)
    draws = np.random.default_rng(0).integers(0, len(one), (20_000, len(one)))
    spread = (one - other)[draws].mean(1).std()
    n = len(one)
    assert found(*STORED).standard_error == pytest.approx(spread * np.sqrt(n / (n - 1)), rel=0.03)


@pytest.mark.parametrize("runs", [5, 12])
def test_95_percent_intervals_hold_the_true_difference_in_95_of_100_comparisons(runs: int) -> None:
    draw, truth, held = np.random.default_rng(runs), 0.01, 0
    for shared, noise in zip(
        draw.normal(0.8, 0.05, (2000, runs)), draw.normal(0, 0.02, (2000, runs)), strict=True
    ):
        low, high = interval([*(shared + noise + truth - shared)])
        held += low <= truth <= high
    assert 0.93 <= held / 2000 <= 0.97


def simulated(effect: float, runs: int) -> float:
    draws: NDArray[np.float64] = np.random.default_rng(1).normal(effect, 1, (20_000, runs))
    return float((stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean())


@pytest.mark.parametrize(("effect", "runs"), [(0.5, 34), (-1.0, 10), (3.0, 4)])
def test_seeds_for_80_percent_power(effect: float, runs: int) -> None:
    """34 and 10 are in the tables of G*Power 3.1 (Faul et al. 2007) for matched pairs."""
    assert runs_needed(effect) == runs
    assert power(effect, runs) == pytest.approx(simulated(effect, runs), abs=0.01)
    assert power(effect, runs - 1) < 0.8 <= power(effect, runs)


def test_no_effect_needs_no_number_of_seeds_and_a_huge_one_two() -> None:
    assert (runs_needed(0), runs_needed(1e-4), runs_needed(5000)) == (None, None, 2)


def test_a_seed_without_a_result_is_left_out_of_the_pair_and_said() -> None:
    ours = found((0.9, None, 0.7, 0.8, 0.9, 0.8), (0.8, 0.8, 0.65, None, 0.8, 0.7))
    assert (ours.seeds, ours.left_out) == ((0, 2, 4, 5), (1, 3))
    assert ours.difference == pytest.approx(np.mean([0.1, 0.05, 0.1, 0.1]))
    assert list(remarks([ours])) == [
        "`a:b`: without seeds 1, 3, where one of the two has no result",
        "`a:b`: no verdict below 5 seeds",
    ]


def test_a_run_that_is_warned_of_counts_and_that_is_said() -> None:
    ours = found((0.9, 0.8, 0.7, 0.8, 0.9), (0.8, 0.8, 0.66, 0.7, 0.8))
    assert (ours.seeds, ours.warned) == ((0, 1, 2, 3, 4), (2,))
    assert list(remarks([ours])) == ["`a:b`: with seed 2, of which a line above warns"]


def test_below_five_seeds_there_is_an_interval_and_no_verdict() -> None:
    four = found((0.9,) * 3 + (0.91,), (0.1,) * 4)
    assert four.interval
    assert four.interval[0] > 0.7
    assert four.verdict == ""
    assert found((0.9,) * 4 + (0.91,), (0.1,) * 5).verdict == "better"


def test_of_losses_the_lower_one_is_better() -> None:
    low, high = (0.1, 0.11, 0.1, 0.1, 0.12), (0.5, 0.6, 0.5, 0.7, 0.6)
    assert found(low, high, classifies=False).verdict == "better"
    assert found(high, low, classifies=False).verdict == "worse"
    assert found(low, (0.11, 0.1, 0.1, 0.12, 0.1), classifies=False).verdict == "open"


def test_without_spread_there_is_no_effect_size_and_without_a_pair_nothing() -> None:
    same = found((0.75,) * 5, (0.5,) * 5)
    assert (same.difference, same.standard_error, same.effect, same.runs_needed) == (0.25, 0, None, None)
    assert (same.interval, same.verdict) == (None, "")
    assert [*remarks([same])] == ["`a:b`: the differences of all 5 seeds are equal, which gives no interval"]
    none = found((None, 0.1), (0.1, None))
    assert (none.difference, none.interval, none.seeds, none.verdict) == (None, None, (), "")


def test_labels_may_have_colons_of_their_own() -> None:
    labels = ("a:b ldfa rank 2", "a:b bp")
    assert declared(["a:b ldfa rank 2 : a:b bp"], labels, 2) == (Pair(*labels),)


@pytest.mark.parametrize(
    ("text", "seeds", "message"),
    [
        ("ldfa", 5, "is no contrast: name two rows with a colon between, of `bp`, `ldfa`"),
        ("ldfa:fa", 5, "names no row `fa`; there are `bp`, `ldfa`"),
        (":", 5, "names no row ``; there are"),
        ("bp:bp", 5, "compares a row with itself"),
        ("ldfa:bp", 1, "needs at least 2 seeds"),
    ],
)
def test_what_is_no_contrast_is_refused(text: str, seeds: int, message: str) -> None:
    with pytest.raises(FacError, match=message):
        declared([text], ("bp", "ldfa"), seeds)


def test_without_scipy_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy", None)
    with pytest.raises(FacError, match=r'pip install "fac-compiler\[stats\]"'):
        declared(["ldfa:bp"], ("bp", "ldfa"), 5)
    assert declared([], ("bp", "ldfa"), 5) == ()


@pytest.mark.parametrize("of", [360, 1000, 77])
def test_differences_that_are_equal_but_for_rounding_are_equal(of: int) -> None:
    """Accuracies on `of` samples: k/360 − (k − 5)/360 is not the same float for every k."""
    hits = np.arange(30, 60)
    ours = found((hits / of).tolist(), ((hits - 5) / of).tolist())
    assert len(set(hits / of - (hits - 5) / of)) > 1
    assert (ours.standard_error, ours.effect, ours.runs_needed) == (0.0, None, None)
    assert ours.interval is None
    told_apart = found((hits / of).tolist(), ((hits - 5 + (hits == 40)) / of).tolist())
    assert told_apart.effect == pytest.approx(149 / 30 / np.sqrt(1 / 30), rel=1e-9)
