"""The suite can fail: backends that are wrong in one way, and gaps that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.backend import Backend, Compiled, Precision
from fac.diagnostics import SpecError
from fac.pipeline import lowered
from fac.testing import BackendConformance
from fac.testing.case import Case, Subject, compare, refuses
from fac.testing.suite import CASES, run
from fac_reference import BACKEND as REFERENCE
from tests.testing.fakes import Fake, backpropagation, in_place, rounded

RELU = "op/relu(f[N, 3])"
PLAIN = [id for id in CASES if id.startswith("rule/") and id.endswith(" x sgd")]
LAWS = [id for id in CASES if id.startswith("law/")]
SOME = [RELU, "layer/tanh", "rule/bp x sgd", "step/placed batches"]
NONE: frozenset[str] = frozenset()


def failing(ids: Any, backend: Backend, precision: Precision = "float64") -> set[str]:
    """Which of these cases fail because of their numbers."""
    found = set()
    for id in ids:
        try:
            run(CASES[id], Subject(backend, precision, "cpu"), NONE)
        except AssertionError as error:
            if "answers are wrong" not in str(error):
                raise
            found.add(id)
    return found


# -- wrong numbers ------------------------------------------------------------------------------------------------


def test_backpropagation_in_disguise_fails_every_rule_but_its_own() -> None:
    assert failing(PLAIN, Fake(backpropagation)) == set(PLAIN) - {"rule/bp x sgd"}


def test_backpropagation_in_disguise_breaks_the_law_that_feedback_matters() -> None:
    """And what a matrix feeds, and that steps are clipped or gather, but no other: else backpropagation is right."""
    broken = ("other feedback", "changes what it feeds", "clipped", "an update by three batches")
    expected = {id for id in LAWS if any(words in id for words in broken)}
    # a session shows the gradients of the rule, which such a step does not take
    expected |= {id for id in LAWS if "views" in id and not id.endswith((" x bp", " x shallow", " x frozen"))}
    assert all(any(words in id for id in LAWS) for words in broken)
    assert failing(LAWS, Fake(backpropagation)) == expected


@pytest.mark.parametrize("id", SOME)
def test_a_millionth_too_much_is_wrong_in_float64(id: str) -> None:
    assert failing([id], Fake(rounded)) == {id}


@pytest.mark.parametrize("id", [RELU, "rule/bp x sgd"])
def test_a_millionth_too_much_is_rounding_in_float32(id: str) -> None:
    assert not failing([id], Fake(rounded), "float32")


def test_state_that_is_overwritten_too_early_is_wrong() -> None:
    """Where a backward pass or a way to learn reads weights; elsewhere nothing reads the state that late."""
    learned = ("weight_mirror", "ldfa_normative", "ldfa_refresh", "ldfa_fed_back")
    rules = ("bp", "frozen", "usf", "frsf", "brsf", *learned, "mixed")
    assert failing(PLAIN, Fake(in_place)) == {f"rule/{rule} x sgd" for rule in rules}


def test_without_its_change_a_fake_is_right() -> None:
    assert not failing([*PLAIN, *LAWS, *SOME], Fake())


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"a": np.ones(3)}, "missing are \\['b'\\]"),
        ({"a": np.ones(3), "b": 1.0, "c": 1.0}, "unexpected are \\['c'\\]"),
        ({"a": np.ones((1, 3)), "b": 1.0}, "`a` by inf"),
        ({"a": np.array([1, np.nan, 1]), "b": 1.0}, "`a` by inf"),
        ({"a": np.ones(3), "b": 1.01}, "1 of 2 answers are wrong: `b` by 1.0e-02, where 1e-03 is allowed"),
    ],
    ids=["missing", "unexpected", "shape", "nan", "number"],
)
def test_answers_that_differ(found: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        compare(found, {"a": np.ones(3), "b": 1.0}, 1e-3)


def test_answers_that_should_be_numbers() -> None:
    """A NaN agrees with nothing, not even with another one."""
    with pytest.raises(AssertionError, match="inf"):
        compare({"a": np.nan}, {"a": np.nan}, 1.0)


def test_what_has_to_be_refused_is_not_taken() -> None:
    with pytest.raises(AssertionError, match="nonsense has to be refused"):
        refuses(lambda: None, "nonsense")


# -- gaps ---------------------------------------------------------------------------------------------------------

WITHOUT_RELU = Fake(without=frozenset({"relu"}))
RELUS = [RELU, "layer/relu", "rule/fa x sgd"]


@pytest.mark.parametrize("id", RELUS)
def test_a_declared_gap_is_refused_and_passes(id: str) -> None:
    for gap in (id, f"{id}@float64"):
        run(CASES[id], Subject(WITHOUT_RELU, "float64", "cpu"), frozenset({gap}))


@pytest.mark.parametrize("id", RELUS)
def test_a_refusal_that_is_not_declared_fails(id: str) -> None:
    for gaps in (NONE, frozenset({f"{id}@float32"})):
        with pytest.raises(AssertionError, match=r"add it to `gaps`:\n(.|\n)*no `?relu`? in float64"):
            run(CASES[id], Subject(WITHOUT_RELU, "float64", "cpu"), gaps)


@pytest.mark.parametrize("gap", [RELU, f"{RELU}@float64"])
def test_a_gap_that_works_fails(gap: str) -> None:
    with pytest.raises(
        AssertionError, match=r"works in float64: remove `op/relu\(f\[N, 3\]\)(@float64)?` from `gaps`"
    ):
        run(CASES[RELU], Subject(REFERENCE, "float64", "cpu"), frozenset({gap}))


def test_a_gap_in_one_precision_is_none_in_the_other() -> None:
    run(CASES[RELU], Subject(REFERENCE, "float32", "cpu"), frozenset({f"{RELU}@float64"}))


def test_wrong_numbers_are_no_gap() -> None:
    with pytest.raises(AssertionError, match="answers are wrong"):
        run(CASES[RELU], Subject(Fake(rounded), "float64", "cpu"), frozenset({RELU}))


def test_a_crash_is_no_gap() -> None:
    def crash(compiled: Compiled) -> Compiled:
        raise KeyError("relu")

    with pytest.raises(KeyError):
        run(CASES[RELU], Subject(Fake(crash), "float64", "cpu"), frozenset({RELU}))


def test_a_spec_that_no_backend_takes_is_no_gap() -> None:
    """The fault would be the suite's own."""

    def check(subject: Subject) -> None:
        lowered({"fac": 1, "layers": []})

    with pytest.raises(SpecError):
        run(Case("op/broken", check), Subject(REFERENCE, "float64", "cpu"), frozenset({"op/broken"}))


class Conformance(BackendConformance):
    """Not collected: the name does not begin with `Test`."""

    backend = REFERENCE
    gaps = frozenset({"op/no such case", f"{RELU}@float16", f"{RELU}@float32", RELU})


def test_a_gap_that_names_no_case_fails() -> None:
    with pytest.raises(
        AssertionError, match=r"no cases are called op/no such case, op/relu.*@float16: remove"
    ):
        Conformance().test_gaps()


# -- what is run --------------------------------------------------------------------------------------------------


class Devices(Fake):
    """Two of them."""

    def devices(self) -> tuple[str, ...]:
        return ("cpu", "other")


class Collected:
    """What pytest hands to a class that says itself what its tests are run with."""

    def __init__(self, *names: str) -> None:
        self.fixturenames, self.given, self.ids = names, list[Any](), list[str]()

    def parametrize(self, names: tuple[str, ...], given: list[Any], ids: list[str]) -> None:
        assert names == ("case", "precision", "device")
        self.given, self.ids = given, ids


def test_every_case_runs_in_each_precision_on_each_device() -> None:
    class OnTwo(BackendConformance):
        backend = Devices()

    found: Any = Collected("case", "precision", "device")
    OnTwo().pytest_generate_tests(found)
    assert len(found.ids) == len(set(found.ids)) == 4 * len(CASES)
    assert {"op/relu(f[N, 3])-float32-other", "layer/gelu-float64-cpu"} <= set(found.ids)
    assert {(case.id, precision, device) for case, precision, device in found.given} >= {
        ("rule/ldfa_oja_kp x momentum", "float64", "other")
    }
    other: Any = Collected()
    OnTwo().pytest_generate_tests(other)
    assert not other.given
