"""Sweeps: what they search through, that nothing depends on who ends first, and what comes of the best."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import fac
from fac.diagnostics import FacError
from fac.experiments.comparing import Design, compared
from fac.experiments.job import Where
from fac.experiments.kept import open_comparison
from fac.experiments.sweeps.searching import ROUND, STARTUP, WARM, Pruner
from fac.experiments.sweeps.spaces import assignments, corners, dimensions, grid
from fac.source import read
from fac.source.plain import load
from fac.training.holding import alone_in
from tests.cli.conftest import DIGITS
from tests.experiments.interrupting import Stopping, files

OVER = {"update.lr": "log:0.001:1", "feedback.rank": "1,4"}
HELD = DIGITS.replace("digits}", "digits, validation: 0.1}").replace("2, batch: 64", "4, batch: 256")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    Path("small.fac.yaml").write_text(HELD)
    return "small.fac.yaml"


def sweep(spec: str, out: str, over: Mapping[str, str] = OVER, **how: Any) -> Any:
    how = {"rules": ["bp", "ldfa"], "trials": 8, "backend": "reference", "audit": False, "seeds": 1, **how}
    return fac.sweep(spec, over, out=out, **how)


def test_the_best_by_validation_are_trained_anew_with_other_seeds_and_compared(spec: str) -> None:
    found = sweep(spec, "a", contrasts=["ldfa:bp"], seeds=2)
    states = [trial["state"] for trial in found.trials]
    assert len(states) == 16
    assert set(states) <= {"complete", "pruned", "diverged"}
    for rule, settings in found.best.items():
        complete = [t for t in found.trials if t["rule"] == rule and t["state"] == "complete"]
        best = max(complete, key=lambda trial: trial["value"])
        assert settings == best["settings"]
        run = Path(f"a/trials/{'01-bp' if rule == 'bp' else '02-ldfa'}/{best['trial']:03}")
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        assert last["validation_accuracy"] == best["value"]
        assert fac.load(run / "spec.fac.yaml").train.seed == 0
    assert [*found.best["bp"]] == ["update.lr"], "bp has no rank"
    assert found.comparison.seeds == (1, 2), "the seed that chose is not among them"
    kept = open_comparison(Path("a/best"))
    assert [row["update"]["lr"] for row in kept.plan.specs] == [of["update.lr"] for of in found.best.values()]
    assert kept.plan.rows[1].variant.rank == found.best["ldfa"]["feedback.rank"]
    assert kept.plan.budget.startswith(
        "8 trials for each rule (tpe, pruned by the median) over update.lr=log:0.001:1"
    )
    assert found.comparison.contrasts
    assert "`bp` has no `feedback.rank`" in found.table()
    assert "tuning budget: 8 trials" in found.table()
    assert "unlike numbers of settings with as many trials: bp 1, ldfa 2" in found.table()
    lines = [*csv.DictReader(Path("a/trials.csv").read_text().splitlines())]
    assert len(lines) == 16
    assert {line["feedback.rank"] for line in lines if line["rule"] == "bp"} == {""}
    assert (
        json.loads(Path("a/trials.json").read_text())["plan"]
        == json.loads(Path("a/sweep.json").read_text())["digest"]
    )


def test_nothing_depends_on_interruptions_or_on_how_many_train_at_a_time(spec: str) -> None:
    how: dict[str, Any] = {"trials": ROUND + 3, "rules": ["ldfa"]}
    whole = sweep(spec, "whole", **how)
    assert any(trial["state"] == "pruned" for trial in whole.trials), "else this shows less than it says"
    for steps in (30, 50):  # within each of the two rounds
        part = sweep(spec, "part", watch=Stopping(steps), **how)
        assert part.comparison is None
        assert f"{part.made} of {ROUND + 3} trials were made" in part.table()
    assert sweep(spec, "part", jobs=2, **how).comparison.made == 1
    assert files("part") == files("whole")


def logged(run: Path) -> list[dict[str, Any]]:
    """What came of each epoch of a training."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row.get("epoch")]


def test_a_trial_that_keeps_its_best_epoch_is_worth_what_that_is_worth(spec: str) -> None:
    """At rates that throw the weights about, so that the last epoch is not the best; interrupted or not."""
    how: dict[str, Any] = {"rules": ["bp"], "overrides": ["train.keep=best", "train.epochs=5"]}
    over = {"update.lr": "0.5,4.0,8.0"}
    whole = sweep(spec, "whole", over, **how)
    early = []
    for trial in whole.trials:
        log = logged(Path(f"whole/trials/01-bp/{trial['trial']:03}"))
        best = min(log, key=lambda row: row["validation_loss"])
        assert trial["value"] == best["validation_accuracy"]
        early.append(best is not log[-1])
    assert any(early), "else the last epoch would do"
    log = logged(Path("whole/best/runs/01-bp-seed-1"))
    best = min(log, key=lambda row: row["validation_loss"])
    assert list(whole.comparison.values()["bp"]) == [best["test_accuracy"]]
    for steps in (9, 31):
        assert sweep(spec, "part", over, watch=Stopping(steps), **how).comparison is None
    sweep(spec, "part", over, **how)
    assert files("part") == files("whole")


def test_a_round_that_was_drawn_is_not_drawn_again(spec: str) -> None:
    sweep(spec, "a", watch=Stopping(1))
    before = Path("a/journal.log").read_bytes()
    drawn = [json.loads(line) for line in before.splitlines()]
    assert sum("datetime_start" in line for line in drawn) == ROUND, (
        "of the first rule, before any was trained"
    )
    sweep(spec, "a")
    assert Path("a/journal.log").read_bytes().startswith(before)


def test_a_space_that_is_smaller_than_the_trials_is_tried_once_each(spec: str) -> None:
    found = sweep(spec, "a", {"feedback.rank": "4,1"}, rules=["ldfa"])
    assert [trial["settings"] for trial in found.trials] == [{"feedback.rank": 4}, {"feedback.rank": 1}]
    assert "`ldfa` has 2 settings in all: each is tried once, instead of 8 trials" in found.table()
    assert (
        "tuning budget: ldfa: each setting, 2 in all, pruned by the median over feedback.rank=4,1"
        in found.table()
    )


def test_trials_that_diverge_are_results(spec: str) -> None:
    found = sweep(spec, "a", {"update.lr": "0.05,1e30"}, rules=["bp"])
    assert [trial["state"] for trial in found.trials] == ["complete", "diverged"]
    assert "not finite" in found.trials[1]["problem"]
    assert found.best == {"bp": {"update.lr": 0.05}}
    with pytest.raises(FacError, match=r"no trial came to its end with a number, see `.*trials\.csv`"):
        sweep(spec, "b", {"update.lr": "1e29,1e30"}, rules=["bp"])


def test_a_loss_that_does_not_classify_is_to_be_low(spec: str) -> None:
    Path("line.fac.yaml").write_text(
        "fac: 1\nname: line\ninput: {shape: [4]}\nlayers: [{kind: linear, name: a, out: 3}, {kind: tanh}, "
        "{kind: linear, name: b, out: 2}]\nloss: {kind: mse}\nfeedback: {rule: fa}\nupdate: {rule: sgd, lr: 0.01}\n"
        "data: {source: teacher, task: regression, n: 64, inputs: 4, outputs: 2, rank: 2, validation: 0.25}\n"
        "train: {epochs: 2, batch: 16}\n"
    )
    found = sweep("line.fac.yaml", "a", {"update.lr": "1e-6,0.05,1e-5"}, rules=())
    assert found.goal.name == "validation_loss"
    assert found.best == {"own": {"update.lr": 0.05}}


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({}, "nothing to search over"),
        ({"update.lr": "log:0:1"}, "begins above 0"),
        ({"update.lr": "log:1:0.1"}, "the first number of a range is the lower one"),
        ({"update.lr": "log:0.1"}, "is not a range between two numbers"),
        ({"update.lr": "nan:1"}, "is not a range between two numbers"),
        ({"feedback.rank": "int:1:2.5"}, "is not a range between two whole numbers"),
        ({"feedback.rank": "0,4"}, "ranks are whole numbers from 1"),
        ({"feedback.rank": "1,,4"}, "`` is no number, word or truth value"),
        ({"update.lr": "0.1,0.10"}, "`0.10` stands there twice"),
        ({"update..lr": "0.1,0.2"}, "names no setting"),
        ({"train.seed": "1,2"}, "are not searched over"),
        ({"data.validation": "0.1,0.2"}, "are not searched over"),
        ({"updat.lr": "0.1,0.2"}, "`updat` is not a field of the spec"),
        ({"update.lr": "-1:1"}, "greater than"),
        ({"layers.fc9.out": "8,16"}, "no item of `layers` is called `fc9`"),
        ({"feedback.scal": "1,2"}, "no rule here has `feedback.scal`"),
    ],
)
def test_what_cannot_be_searched_over_is_said_before_any_training(
    spec: str, over: Mapping[str, str], says: str
) -> None:
    with pytest.raises(FacError) as caught:
        sweep(spec, "a", over)
    assert says in str(caught.value)
    assert not Path("a").exists()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"rules": ["nope"]}, "no rule is called `nope`"),
        ({"contrasts": ["ldfa:fa"]}, "names no row `fa`"),
        ({"overrides": ["data.validation=null"]}, "add `validation: 0.1` to its `data:`"),
        ({"trials": 0}, "`trials`"),
        ({"sampler": "grid"}, "`tpe` or `random`"),
    ],
)
def test_what_cannot_be_swept_is_said_before_any_training(
    spec: str, how: Mapping[str, Any], says: str
) -> None:
    with pytest.raises(FacError) as caught:
        sweep(spec, "a", **how)
    assert says in str(caught.value)
    assert not Path("a").exists()


def test_another_sweep_damaged_files_and_lost_trials_are_refused(spec: str) -> None:
    space = {"update.lr": "0.02,0.05"}
    sweep(spec, "a", space, rules=["bp"])
    assert sweep(spec, "a", space, rules=["bp"]).made == 2
    with pytest.raises(FacError, match=r"holds another sweep: `over.update.lr` is "):
        sweep(spec, "a", {"update.lr": "0.02,0.1"}, rules=["bp"])
    for name, content, says in (
        ("journal.log", b"{}\n", "is not the journal of a sweep"),
        ("journal.log", b"\xff[", "is not the journal of a sweep"),
        ("sweep.json", b"{}", "is not the plan of a sweep"),
    ):
        before = Path("a", name).read_bytes()
        Path("a", name).write_bytes(content)
        with pytest.raises(FacError, match=says):
            sweep(spec, "a", space, rules=["bp"])
        Path("a", name).write_bytes(before)
    Path("a/trials/01-bp/001").rename("gone")
    with pytest.raises(FacError, match="a trial that is over, is gone"):
        sweep(spec, "a", space, rules=["bp"])
    Path("other").mkdir()
    Path("other/file").touch()
    with pytest.raises(FacError, match="is not empty and holds no sweep"):
        sweep(spec, "other", space, rules=["bp"])
    with alone_in(Path("held")), pytest.raises(FacError, match="another training is at work"):
        sweep(spec, "held", space, rules=["bp"])


def test_the_arms_of_the_audit_are_searched_for_as_rules_are(spec: str) -> None:
    """With the best rate of a rule they may be far below what they reach, and would clear it of doing no more."""
    rates = {"update.lr": "1e-5,0.05"}
    found = sweep(spec, "a", rates, rules=["fa"], audit=True, overrides=["train.epochs=1"])
    assert [(row.variant.label, row.arm) for row in found.comparison.rows] == [
        ("fa", False),
        ("shallow", True),
    ]
    assert [trial["rule"] for trial in found.trials] == ["fa", "fa", "shallow", "shallow"]
    best = max(found.trials[2:], key=lambda trial: trial["value"])
    assert found.best["shallow"] == best["settings"]
    alone = sweep(spec, "b", rates, rules=["fa"], audit=False, overrides=["train.epochs=1"])
    assert [trial["rule"] for trial in alone.trials] == ["fa", "fa"]


def test_a_pruner_holds_a_trial_against_the_median_of_those_that_are_complete() -> None:
    curves = [{1: 0.1 * k, 2: 0.1 * k, 3: 0.1 * k} for k in range(1, STARTUP + 1)]  # the median is 0.3
    for direction, bad, good in (("maximize", 0.29, 0.31), ("minimize", 0.31, 0.29)):
        assert [Pruner(direction, curves).prunes(WARM, value) for value in (bad, good)] == [True, False]
        early = Pruner(direction, curves)
        assert not early.prunes(WARM - 1, good)
        assert not early.prunes(WARM, bad), "the best of its epochs counts"
        assert not Pruner(direction, curves[1:]).prunes(WARM, bad), "too few are complete"


def test_values_come_back_from_yaml_as_they_were() -> None:
    point = {
        "a": 1e-05,
        "b": 1 / 3,
        "c": True,
        "d": None,
        "e": "x y",
        "f": 7,
        "g": "true",
        "h": 1e300,
        "i": "1",
    }
    for text, value in zip(assignments(point), point.values(), strict=True):
        again, walk = load(text.partition("=")[2])
        assert not walk.diagnostics
        assert again == value
        assert type(again) is type(value)


def test_all_corners_of_a_space_and_all_points_of_a_small_one() -> None:
    space = dimensions({"a": "lin:0:1", "b": "int:1:3", "c": "x,y"})
    assert len([*corners(space)]) == 8
    assert grid(space, 1000) is None
    assert grid(space[1:], 5) is None
    assert grid(space[1:], 6) == [{"b": b, "c": c} for b in (1, 2, 3) for c in ("x", "y")]
    many = dimensions({f"p{k}": "0:1" for k in range(9)})
    assert len([*corners(many)]) == 10


def test_without_optuna_one_message_says_what_to_install(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(FacError, match=r'a sweep needs Optuna: `pip install "fac-compiler\[sweep\]"`'):
        sweep(spec, "a")


def test_an_arm_that_is_named_has_its_own_settings_and_stands_beside_all_rules(spec: str) -> None:
    rates = {"fa": "1e-6", "ldfa": "1e-5", "shallow": "1e-4"}
    settings = {rule: [f"update.lr={rate}", "train.epochs=1"] for rule, rate in rates.items()}
    design = Design(list(rates), seeds=2, settings=settings)
    found = compared([read(spec)], design, Where("reference"))
    assert [row.variant.label for row in found.rows] == [*rates], "no `shallow as fa`"
    said = [note for note in found.notes if "is not shown to beat `shallow`" in note]
    assert [note.split("`")[1] for note in said] == ["fa", "ldfa"]


@pytest.mark.parametrize("weight", ["balanced", {"3": 6}])
def test_class_weights_that_the_data_tell_are_settled_for_trials_and_for_the_best(
    spec: str, weight: Any
) -> None:
    told = f"loss={{kind: cross_entropy, weight: {json.dumps(weight)}}}"
    how: dict[str, Any] = {"rules": ["fa"], "overrides": [told, "train.epochs=1"]}
    found = sweep(spec, "a", {"update.lr": "0.02,0.05"}, **how)
    assert [trial["state"] for trial in found.trials] == ["complete", "complete"]
    loaded: Any = fac.load
    trial, best = (
        loaded(path).loss.weight
        for path in ("a/trials/01-fa/000/spec.fac.yaml", "a/best/runs/01-fa-seed-1/spec.fac.yaml")
    )
    assert isinstance(trial, tuple)
    assert trial == best, "of the same samples"
    assert sum("`loss.weight`" in line for line in found.table().splitlines()) == 1


def test_a_rank_that_is_measured_is_so_in_each_trial(spec: str) -> None:
    how: dict[str, Any] = {"rules": ["ldfa"], "overrides": ["feedback.rank=auto", "train.epochs=1"]}
    found = sweep(spec, "a", {"update.lr": "0.02,0.05"}, **how)
    assert [trial["state"] for trial in found.trials] == ["complete", "complete"]
    assert "auto" not in Path("a/trials/01-ldfa/000/spec.fac.yaml").read_text()


def test_a_loss_that_judges_is_not_searched_over(spec: str) -> None:
    """The least of several losses is no best: here `delta: 0.001` would win, whatever the network does."""
    teacher = "{source: teacher, task: regression, n: 64, inputs: 64, outputs: 10, rank: 2, validation: 0.25}"
    with pytest.raises(FacError, match="changes the loss by which trials are judged"):
        sweep(
            spec,
            "a",
            {"loss.delta": "0.001,0.1,1"},
            rules=["bp"],
            overrides=["loss={kind: huber}", f"data={teacher}", "input={shape: [64]}", "train.batch=16"],
        )
    assert not Path("a").exists()


LINEAR = """\
fac: 1
name: linear
input: {shape: [4]}
layers: [{kind: linear, name: a, out: 3}]
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.01}
data: {source: teacher, task: classification, n: 120, inputs: 4, outputs: 3, rank: 2, validation: 0.25}
train: {epochs: 3, batch: 16}
"""


def test_a_trial_that_ran_away_is_told_and_passed_over(spec: str) -> None:
    """A linear network names the same classes at any scale of its weights, so one that ran away scores well."""
    Path("linear.fac.yaml").write_text(LINEAR)
    found = sweep("linear.fac.yaml", "a", {"update.lr": "1e-7,0.001,1e5"}, rules=())
    values = [trial["value"] for trial in found.trials]
    assert max(values) == values[2], "else this shows less than it says"
    assert [bool(trial["risen"]) for trial in found.trials] == [False, False, True]
    assert found.best == {"own": {"update.lr": 0.001}}
    table = found.table()
    assert "`own`: trial 2 (update.lr 1e+05) has validation accuracy" in table
    assert "but its loss rose: passed over" in table
    assert "test" not in found.trials[2]["risen"]
    all_rose = sweep("linear.fac.yaml", "b", {"update.lr": "1e5,2e5"}, rules=())
    assert "! `own`: the loss rose in each trial that came to its end" in all_rose.table()


@pytest.mark.parametrize(
    ("over", "at", "end"),
    [
        ("log:0.001:1", 0.83, "upper"),
        ("log:0.001:1", 0.5, ""),
        ("log:0.001:1", 0.0011, "lower"),
        ("lin:0:0.9", 0.88, "upper"),
        ("int:1:16", 15, ""),
        ("int:1:16", 16, "upper"),
        ("8,1,4", 1, "lower"),
        ("8,1,4", 4, ""),
        ("1,4", 1, ""),
        ("a,b,c", "a", ""),
    ],
)
def test_a_value_at_an_end_of_its_range_or_list_is_known(over: str, at: Any, end: str) -> None:
    (dimension,) = dimensions({"update.lr": over})
    assert dimension.end(at) == end
