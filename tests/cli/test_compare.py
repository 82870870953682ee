from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fac.backend import Arrays
from fac.diagnostics import FacError
from fac.experiments import rows
from fac.experiments.needs import Needs
from fac.training.loop import Training
from tests.cli.conftest import DIGITS

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--backend", "reference", "--set", "train.epochs=1")
REGRESSION = """\
fac: 1
name: teacher
input: {shape: [6]}
layers: [{kind: linear, name: fc1, out: 8}, {kind: tanh}, {kind: linear, name: out, out: 4}]
loss: {kind: mse}
update: {rule: sgd, lr: 0.1}
data: {source: teacher, n: 256, test: 64, inputs: 6, outputs: 4}
train: {epochs: 1, batch: 32}
"""


def test_one_spec_is_set_beside_the_default_rules(run: Run, spec: Path) -> None:
    status, out, err = run("compare", spec, *QUICK, "--no-audit", "--seeds", 2)
    assert status == 0
    lines = out.splitlines()
    needs = ("backward MACs vs bp", "feedback words", "weight transport")
    header = ("rule", "rank", *needs, "test accuracy %", "ms per step")
    assert lines[0].split() == " ".join(header).split()
    assert [line.split()[0] for line in lines[1:]] == ["ldfa", "bp", "fa", "dfa", "shallow"]
    assert lines[1].split()[1] == "9"
    assert " 1.00 " in lines[2]
    assert all(" ± " in line for line in lines[1:])
    assert "1/5  ldfa seed 0  acc " in err
    assert "5/5  shallow seed 1  acc " in err


def test_json(run: Run, spec: Path) -> None:
    rules = ("--rules", "bp,ldfa", "--rank", 3, "--seeds", 2, "--set", "train.seed=5")
    status, out, _ = run("compare", spec, *QUICK, "--no-audit", *rules, "--json")
    assert status == 0
    (line,) = out.splitlines()
    found = json.loads(line)
    assert (found["backend"], found["device"], found["seeds"]) == ("reference", "cpu", [5, 6])
    assert not any("no `shallow` row" in note for note in found["notes"]), "its feedback learns"
    bp, ldfa = found["rows"]
    assert (bp["rule"], bp["rank"], bp["backward_macs_vs_backprop"]) == ("bp", None, 1.0)
    assert (ldfa["rule"], ldfa["rank"], ldfa["ranks"]) == ("ldfa", 3, [3])
    values = ldfa["test_accuracy"]["values"]
    assert len(values) == 2
    assert ldfa["test_accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert ldfa["test_accuracy"]["sd"] == pytest.approx(np.std(values, ddof=1))


def test_what_rules_need_is_told_beside_what_they_reach(run: Run, spec: Path) -> None:
    """Words are the elements of matrices that errors pass: of `fc1` 16 units, of `logits` 10, P and Q of rank 9."""
    rules = ("--rules", "bp,fa,dfa,ldfa,usf,shallow", "--rank", 9, "--seeds", 1)
    status, out, _ = run("compare", spec, *QUICK, "--no-audit", *rules, "--json")
    assert status == 0
    needs = {row["rule"]: (row["weight_transport"], row["feedback_words"]) for row in json.loads(out)["rows"]}
    assert needs == {
        "bp": ("yes", 160),
        "fa": ("no", 160),
        "dfa": ("no", 160),
        "ldfa": ("no", 9 * 10 + 9 * 16),
        "usf": ("yes", needs["usf"][1]),
        "shallow": ("no", 0),
    }
    _, out, _ = run(
        "compare",
        spec,
        *QUICK,
        "--no-audit",
        "--rules",
        "dfa",
        "--set",
        "train.anchor={every: 5, rule: bp}",
        "--seeds",
        1,
    )
    assert out.splitlines()[1].split()[3:6] == ["160", "in", "anchors"]


def test_json_holds_the_history_of_each_run(run: Run, spec: Path) -> None:
    two = ("--backend", "reference", "--set", "train.epochs=2", "--seeds", 2, "--no-audit")
    found = json.loads(run("compare", spec, *two, "--rules", "bp,ldfa", "--json")[1])
    runs = found["runs"]
    assert [(r["row"], r["seed"]) for r in runs] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for one in runs:
        row = found["rows"][one["row"]]
        assert [e["epoch"] for e in one["epochs"]] == [1, 2]
        assert one["epochs"][-1]["test_accuracy"] == row["test_accuracy"]["values"][one["seed"]]
    assert "fc1.error.cosine" in runs[2]["epochs"][0]
    assert runs[0]["epochs"][0]["fc1.error.cosine"] == pytest.approx(1), "backprop agrees with itself"
    trained = json.loads(run("train", spec, *QUICK, "--set", "train.epochs=2", "--out", "kept", "--json")[1])
    lines = [json.loads(line) for line in Path(trained["out"], "metrics.jsonl").read_text().splitlines()]
    timed = ("seconds", "step_ms")
    for line, epoch in zip(lines[1:], runs[2]["epochs"], strict=True):
        assert {k: v for k, v in line.items() if k not in timed} == {
            k: v for k, v in epoch.items() if k not in timed
        }


def test_a_row_is_what_train_gives(run: Run, spec: Path) -> None:
    trained = json.loads(run("train", spec, *QUICK, "--set", "train.seed=1", "--json")[1])
    compared = json.loads(
        run("compare", spec, *QUICK, "--no-audit", "--rules", "ldfa", "--json", "--seeds", 2)[1]
    )
    assert compared["rows"][0]["test_loss"]["values"][1] == trained["test_loss"]


def test_several_specs_are_compared_as_they_are(run: Run, spec: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.fac.yaml"
    other.write_text(
        spec.read_text()
        .replace("{rule: ldfa, rank: 9}", "{rule: shallow}")
        .replace("digits-small", "other")
        .replace("batch: 64", "batch: 32")
    )
    status, out, _ = run("compare", spec, other, *QUICK, "--no-audit", "--seeds", 1)
    assert status == 0
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["spec", "rule"]
    assert lines[1].split()[:3] == ["digits-small", "ldfa", "9"]
    assert lines[2].split()[:3] == ["other", "shallow", "–"]
    assert (
        lines[3]
        == " the specs differ in `train.batch` or `train.epochs`, so their data order is not the same"
    )


def test_fixed_feedback_wants_the_last_layer_alone_beside_it(run: Run, spec: Path) -> None:
    out = run("compare", spec, *QUICK, "--no-audit", "--seeds", 1, "--rules", "fa")[1]
    assert "no `shallow` row" in out


def test_what_an_update_multiplies_counts_in_the_number_beside_the_share(
    run: Run, spec: Path, tmp_path: Path
) -> None:
    plain = spec.read_text().replace("feedback: {rule: ldfa, rank: 9}\n", "")
    spec.write_text(plain)
    other = tmp_path / "other.fac.yaml"
    other.write_text(plain.replace("digits-small", "other"))
    muon = "update={rule: muon, lr: 0.01}"
    assert "rule: ldfa" not in plain
    call = ("compare", spec, other, *QUICK, "--no-audit", "--seeds", 1, "--json", "--set")
    sgd, turned = (
        json.loads(run(*call, update)[1])["rows"][0] for update in ("update={rule: sgd, lr: 0.1}", muon)
    )
    assert sgd["backward_macs_vs_backprop"] == turned["backward_macs_vs_backprop"] == 1
    assert turned["backward_macs"] > 1.1 * sgd["backward_macs"]


def test_bad_calls(run: Run, spec: Path) -> None:
    assert run("compare")[0] == 2
    status, _, err = run("compare", spec, "--rules", "bp,fo")
    assert status == 2
    assert "no rule is called `fo`; installed are `bp`" in err
    spec.write_text(spec.read_text().replace("data: {source: digits}\n", ""))
    status, _, err = run("compare", spec, *QUICK, "--no-audit")
    assert status == 2
    assert "says nothing about data" in err


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int, Callable[[], float]], None]:
    """`breaking(1, 30, act)`: in the training of seed 1 step 30 does what `act` does, and has its loss."""

    def broken(bad_seed: int, at: int, act: Callable[[], float]) -> None:
        def wrapped(session: Any, dataset: Any, spec: Any, **more: Any) -> Any:
            run_step = session.run_step

            def step(batch: Arrays, lr: float, number: int) -> Any:
                broken = spec.train.seed == bad_seed and number == at
                return {"loss": act()} if broken else run_step(batch, lr, number)

            session.run_step = step
            return Training(session, dataset, spec, **more)

        monkeypatch.setattr("fac.experiments.trainer.Training", wrapped)

    return broken


def not_a_number() -> float:
    return float("nan")


def interrupt() -> float:
    signal.raise_signal(signal.SIGINT)
    return 1.0


def raising(error: Exception) -> Callable[[], float]:
    def act() -> float:
        raise error

    return act


TWO = ("--backend", "reference", "--set", "train.epochs=2", "--seeds", 3, "--rules", "bp,shallow")


def test_a_run_that_diverges_keeps_its_seed_its_curve_and_the_other_seeds(
    run: Run, spec: Path, breaking: Callable[..., None]
) -> None:
    """21 steps make an epoch: seed 1 has one good epoch, and its mean is over two of three runs."""
    whole = json.loads(run("compare", spec, *TWO, "--no-audit", "--json")[1])
    breaking(1, 30, not_a_number)
    status, out, err = run("compare", spec, *TWO, "--no-audit", "--json")
    found = json.loads(out)
    assert status == 0
    assert "seed 1  diverged: the loss is nan at step 31 (epoch 2, batch 10 of 21)" in err
    for row, before in zip(found["rows"], whole["rows"], strict=True):
        assert (row["seeds"], row["diverged"], row["failed"]) == ([0, 1, 2], [1], [])
        for metric in ("test_accuracy", "test_loss", "train_loss"):
            one, three = row[metric], before[metric]["values"]
            assert (one["seeds"], one["values"]) == ([0, 1, 2], [three[0], None, three[2]])
            assert (one["runs"], one["of"]) == (2, 3)
            assert one["mean"] == pytest.approx((three[0] + three[2]) / 2, rel=1e-12)
            assert one["sd"] == pytest.approx(abs(three[0] - three[2]) / 2**0.5, rel=1e-9)
    assert [(r["row"], r["name"], r["seed"]) for r in found["runs"]] == [
        (row, name, seed) for row, name in enumerate(("bp", "shallow")) for seed in (0, 1, 2)
    ]
    for index, one in enumerate(found["runs"]):
        assert len(one["epochs"]) == (1 if one["seed"] == 1 else 2)
        assert one["epochs"][0]["train_loss"] == whole["runs"][index]["epochs"][0]["train_loss"]
        assert bool(one["problem"]) == (one["seed"] == 1)
        assert (one["test_loss"] is None) == (one["seed"] == 1)
    lines = run("compare", spec, *TWO, "--no-audit")[1].splitlines()
    assert all(" ± " in line and " (2 of 3) !" in line for line in lines[1:3])
    assert lines[3].startswith(" ! bp, seed 1: diverged: the loss is nan at step 31")
    assert lines[4].startswith(" ! shallow, seed 1: diverged: ")


def test_where_all_runs_diverge_the_row_says_so(run: Run, spec: Path) -> None:
    wild = ("--set", "update.lr=1e300", "--seeds", 2, "--rules", "bp,shallow")
    status, out, err = run("compare", spec, *QUICK, "--no-audit", *wild)
    assert status == 0
    assert out.splitlines()[0].split()[-6:-3] == ["test", "accuracy", "%"], (
        "it classifies, whatever came of it"
    )
    assert out.splitlines()[1].split()[:7] == ["bp", "–", "1.00", "160", "yes", "diverged", "!"]
    assert " ! bp, seed 0: diverged: the loss is " in out
    assert out.count("(seed 1 likewise") == 2
    assert "bp seed 1  diverged: the loss is " in err
    row = json.loads(run("compare", spec, *QUICK, "--no-audit", *wild, "--json")[1])["rows"][0]
    assert row["test_accuracy"] | {"seeds": 0} == {
        "mean": None,
        "sd": None,
        "runs": 0,
        "of": 2,
        "seeds": 0,
        "values": [None, None],
    }


def test_a_failure_of_one_run_does_not_lose_the_others(
    run: Run, spec: Path, breaking: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAC_TRACEBACK", raising=False)
    breaking(1, 3, raising(MemoryError("no room")))
    status, out, err = run("compare", spec, *TWO, "--no-audit", "--json")
    assert status == 2
    found = json.loads(out)
    assert [row["failed"] for row in found["rows"]] == [[1], [1]]
    assert all(row["test_accuracy"]["runs"] == 2 for row in found["rows"])
    assert [one["problem"] for one in found["runs"]] == 2 * [None, "MemoryError: no room", None]
    assert err.count("seed 1  failed: MemoryError: no room") == 2
    breaking(0, 3, raising(FacError("the disk is full")))
    status, out, err = run("compare", spec, *TWO, "--no-audit")
    assert (status, out) == (2, ""), "nothing was there to be lost"
    assert err == "fac: the disk is full\n"


@pytest.mark.usefixtures("heard")
def test_an_interruption_prints_what_was_trained(run: Run, spec: Path, breaking: Callable[..., None]) -> None:
    breaking(1, 3, interrupt)
    status, out, _ = run("compare", spec, *TWO, "--no-audit")
    lines = out.splitlines()
    assert status == 130
    assert len(lines) == 3
    assert lines[1].split()[:3] == ["bp", "–", "1.00"]
    assert lines[2] == " interrupted: 1 of 6 trainings were made"
    breaking(0, 3, interrupt)
    status, out, err = run("compare", spec, *TWO, "--no-audit")
    assert (status, out, err.strip()) == (130, "", "fac: interrupted")


def test_results_that_are_hardly_ones_are_marked(run: Run, spec: Path) -> None:
    """At this rate backpropagation ends at a loss far above that of the untrained network, and finite."""
    wild = ("--set", "update={rule: sgd, lr: 10}", "--seeds", 2, "--rules", "bp,shallow")
    status, out, err = run("compare", spec, *QUICK, "--no-audit", *wild, "--json")
    assert status == 0
    found = json.loads(out)
    assert [row["warned"] for row in found["rows"]] == [[0, 1], []]
    for one in found["runs"][:2]:
        (warning,) = [w for w in one["warnings"] if w["kind"] == "risen"]
        assert warning["test_loss"] == one["test_loss"]
        assert warning["train_loss"] > 2 * warning["untrained_loss"] > 4
    assert [one["warnings"] for one in found["runs"][2:]] == [[], []]
    assert err.count(" s) !") == 2, "what it is stands below the table, once"
    lines = run("compare", spec, *QUICK, "--no-audit", *wild)[1].splitlines()
    assert [" !" in line for line in lines[:4]] == [False, True, False, True]
    assert lines[3].startswith(" ! bp, seed 0: the loss rose to ")
    assert lines[3].endswith("(seed 1 likewise, with other numbers)")


def test_a_comparison_of_both_kinds_of_task_shows_both_metrics(run: Run, spec: Path) -> None:
    other = spec.with_name("teacher.fac.yaml")
    other.write_text(REGRESSION)
    rows = run("compare", spec, other, *QUICK, "--no-audit", "--seeds", 1)[1].splitlines()[:3]
    assert "test accuracy %  test loss" in rows[0]
    classified, regressed = (row.split() for row in rows[1:])
    assert classified[9] == regressed[8] == "–"
    found = json.loads(
        run("compare", other, *QUICK, "--no-audit", "--seeds", 1, "--rules", "bp", "--json")[1]
    )
    assert found["rows"][0]["test_accuracy"] is None


def test_what_is_read_in_another_shape_is_told_once(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "maps.fac.yaml"
    layers = "layers: [{kind: flatten}, "
    path.write_text(REGRESSION.replace("shape: [6]", "shape: [2, 3]").replace("layers: [", layers))
    options = ("--backend", "reference", "--rules", "bp,fa", "--seeds", 2)
    status, _, err = run("compare", path, *options)
    assert status == 0
    assert err.count("is read as") == 1
    assert err.startswith("x of shape [6] is read as [2, 3], row by row\n")


def test_each_of_several_losses_has_a_column(run: Run, tmp_path: Path) -> None:
    """Its accuracy, or the loss of one that has none; the sum alone would hide which head a rule serves."""
    rng = np.random.default_rng(0)
    arrays: Any = {
        "x": rng.standard_normal((40, 6)),
        "y": np.arange(40) % 3,
        "z": rng.standard_normal((40, 2)),
    }
    np.savez(tmp_path / "data.npz", **arrays)
    written = tmp_path / "heads.fac.yaml"
    written.write_text(HEADS)
    quick = (*QUICK, "--rules", "bp,shallow", "--seeds", 2)
    status, out, err = run("compare", written, *quick)
    assert status == 0, err
    assert "weight transport label accuracy % code loss" in " ".join(out.splitlines()[0].split())
    found = json.loads(run("compare", written, *quick, "--json")[1])
    for row in found["rows"]:
        assert row["losses"].keys() == {"label.loss", "label.accuracy", "code.loss"}
        last = [one["epochs"][-1] for one in found["runs"] if one["name"] == row["name"]]
        assert row["losses"]["code.loss"]["values"] == [epoch["test.code.loss"] for epoch in last]
        assert all("train.code.loss" in epoch for epoch in last)
    assert f"{np.mean(found['rows'][0]['losses']['code.loss']['values']):.4f} ± " in out.splitlines()[1]


def test_a_warning_about_one_loss_marks_its_column_alone(run: Run, tmp_path: Path) -> None:
    """Seen from the first layer alone, of which a loss that is hardly weighed learns nothing."""
    written = tmp_path / "two.fac.yaml"
    written.write_text(
        DIGITS.replace("loss: {kind: cross_entropy}\n", TWO_LOSSES).replace(
            "name: fc1, out: 16", "name: fc1, out: 10"
        )
    )
    status, out, err = run(
        "compare", written, *QUICK, "--no-audit", "--set", "train.epochs=4", "--rules", "bp", "--seeds", 2
    )
    assert status == 0, err
    header, row, *remarks = out.splitlines()
    assert "weight transport main accuracy % aux accuracy % ms" in " ".join(header.split())
    assert row.count("!") == 1
    assert header.index("aux") < row.index("!") < header.index(" ms")
    assert all(" bp, seed 0: loss `aux`: " in line for line in remarks if line.startswith(" !")), remarks


def test_one_run_that_is_warned_of_twice_is_no_second_run() -> None:
    report: Any = SimpleNamespace(
        concerns=[SimpleNamespace(kind="chance", of=of, message=f"loss `{of}`") for of in ("main", "aux")]
    )
    variant: Any = SimpleNamespace(label="bp")
    runs = [rows.Run(seed, report, ()) for seed in (0, 1)]
    row = rows.Row(variant, "", (), True, False, Needs(1.0, 1, 0, "no", fixed=False), runs=runs)
    assert list(rows.remarks([row])) == [
        f"! bp, seed 0: loss `{of}` (seed 1 likewise)" for of in ("main", "aux")
    ]


TWO_LOSSES = """\
losses:
  - {kind: cross_entropy, name: main}
  - {kind: cross_entropy, name: aux, of: fc1, scale: 1.0e-9}
"""


def test_labels_at_each_place_have_their_loss_beside_their_accuracy(run: Run, tmp_path: Path) -> None:
    """Of a text the share of letters that are the most likely one says little."""
    (tmp_path / "letters").write_text("abcd" * 200)
    written = tmp_path / "letters.fac.yaml"
    written.write_text(LETTERS)
    status, out, err = run("compare", written, *QUICK, "--no-audit", "--rules", "bp", "--seeds", 1)
    assert status == 0, err
    assert "test accuracy % test loss bits per byte ms per step" in " ".join(out.splitlines()[0].split())
    found = json.loads(
        run("compare", written, *QUICK, "--no-audit", "--rules", "bp", "--seeds", 1, "--json")[1]
    )
    (row,) = found["rows"]
    (bits,) = row["test_bits_per_byte"]["values"]
    assert bits == pytest.approx(row["test_loss"]["values"][0] / np.log(2), rel=1e-12)
    assert f" {bits:.4f} " in out
    other = ("--set", "loss.label_smoothing=0.1")
    (row,) = json.loads(
        run("compare", written, *QUICK, "--no-audit", "--rules", "bp", *other, "--seeds", 1, "--json")[1]
    )["rows"]
    assert "test_bits_per_byte" not in row, "smoothed, the loss is not what a byte costs"


LETTERS = """\
fac: 1
name: letters
input: {shape: [8], classes: 256}
layers:
  - {kind: embedding, name: table, out: 4}
  - {kind: linear, name: logits, out: 256}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
data: {source: text, path: letters, length: 8}
train: {epochs: 1, batch: 8}
"""

HEADS = """\
fac: 1
name: heads
input: {shape: [6]}
layers:
  - {kind: linear, name: fc1, out: 8}
  - {kind: tanh, name: act}
  - {kind: linear, name: logits, out: 3}
  - {kind: linear, name: code, out: 2, from: act}
losses:
  - {kind: cross_entropy, of: logits, name: label}
  - {kind: mse, of: code, target: z}
update: {rule: sgd, lr: 0.1}
data: {source: arrays, train: data.npz, test: data.npz, names: [x, y, z]}
train: {epochs: 1, batch: 8}
"""


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (("--rules", "bq"), "no rule is called `bq`"),
        (("--rules", "bp,fa", "--contrast", "fa:dfa"), "names no row `dfa`"),
        (("--rules", "bp", "--rate", "fa=0.1"), "is no rule and no row here"),
        (
            ("--rate", "bp=0.1", "--rate", "bp=0.2"),
            "`bp` stands there twice, with 0.1 and 0.2: leave one out",
        ),
        (("--rate", "bp=inf"), "`bp=inf`: a learning rate is a finite number"),
    ],
)
def test_names_are_looked_at_before_a_framework_is_imported(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch, wrong: tuple[str, ...], says: str
) -> None:
    from fac.experiments import comparing

    def early(*_: object, **__: object) -> None:
        raise AssertionError("the backend is chosen before names are known to be right")

    monkeypatch.setattr(comparing, "Trainer", early)
    status, _out, err = run("compare", spec, *wrong)
    assert (status, says in err) == (2, True)
