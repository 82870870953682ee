"""Reports of folders: which runs they stand for, and what is said of those that are no whole runs."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac import FacError
from fac.experiments.contrasts import t_quantile
from fac.experiments.reporting import Report, reported
from fac.experiments.resulting import with_results
from fac.experiments.sealing import sealed
from fac.experiments.settings import _likewise, read, setting

SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "small",
    "input": {"shape": [4]},
    "layers": [
        {"kind": "linear", "name": "fc1", "out": 5},
        {"kind": "relu"},
        {"kind": "linear", "name": "o", "out": 3},
    ],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "bp"},
    "update": {"rule": "sgd", "lr": 0.1},
    "data": {"source": "arrays", "train": "train.npz", "test": "test.npz"},
    "train": {"epochs": 2, "batch": 8},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `bp-0`, `bp-1`, `fa-0`, and their data."""
    place = tmp_path_factory.mktemp("whole")
    draw = np.random.default_rng(0)
    for name, n in (("train", 32), ("test", 20)):
        x = draw.standard_normal((n, 4))
        np.savez(place / f"{name}.npz", x=x, y=x[:, :3].argmax(1))
    fac.load(SPEC).save(place / "small.fac.yaml")
    for rule, seed in (("bp", 0), ("bp", 1), ("fa", 0)):
        fac.train(
            place / "small.fac.yaml",
            out=place / "runs" / f"{rule}-{seed}",
            overrides=[f"feedback.rule={rule}", f"train.seed={seed}"],
            backend="reference",
        )
    return place


@pytest.fixture
def place(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(whole, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    return tmp_path / "w"


def made(*names: str, **others: Any) -> Report:
    return reported(list(map(Path, names)), **others)


def results(found: Report) -> list[str]:
    """The first row of the table of results."""
    (row,) = re.findall(r"Settings are not tested.*?<tbody><tr>(.*?)</tr>", found.html)
    return re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)


def test_runs_of_a_folder_are_settings_by_what_tells_them_apart(place: Path) -> None:
    found = made("runs")
    assert found.settings == {"bp": ("runs/bp-0", "runs/bp-1"), "fa": ("runs/fa-0",)}
    assert found.notes == ()
    assert "Samples with the highest loss" in found.html
    assert found.html == made("runs").html
    assert made("runs/fa-0", "runs", "./runs/fa-0").runs == 3


def test_results_are_the_mean_and_its_interval(place: Path) -> None:
    ends = [
        json.loads(Path(f"runs/bp-{seed}/metrics.jsonl").read_text().splitlines()[-1])["test_loss"]
        for seed in (0, 1)
    ]
    mean, spread = np.mean(ends), np.std(ends, ddof=1)
    reach = t_quantile(0.975, 1) * spread / np.sqrt(2)
    assert f"{mean:.4f} ± {spread:.4f} [{mean - reach:.4f}, {mean + reach:.4f}]" in made("runs").html


def test_the_confusion_and_the_worst_samples_are_those_of_the_network(place: Path) -> None:
    html = made("runs/bp-0").html
    found = fac.evaluate("runs/bp-0", backend="reference")
    assert found.classes is not None
    assert found.classes.confusion is not None
    for number in found.classes.confusion.ravel():
        assert f">{number}</td>" in html
    test = np.load("test.npz")
    output = fac.predict("runs/bp-0", test["x"], backend="reference")["output"].astype(np.float64)
    losses = np.log(np.exp(output).sum(1)) - output[np.arange(20), test["y"]]
    worst = int(losses.argmax())
    first = re.search(r"sample (\d+): (\d) taken for (\d) with", html)
    assert first is not None
    assert first.groups() == (str(worst), str(test["y"][worst]), str(output[worst].argmax()))
    assert f"loss {losses[worst]:.3g}" in html


def test_what_is_no_whole_run_is_said(place: Path) -> None:
    runs = Path("runs")
    log = (runs / "fa-0/metrics.jsonl").read_text()
    (runs / "fa-0/metrics.jsonl").write_text(log[: len(log) - 40])
    shutil.copytree(runs / "bp-0", "odd/cut")
    os.truncate("odd/cut/state.safetensors", 900)
    shutil.copytree(runs / "bp-0", "odd/bare")
    Path("odd/bare/spec.fac.yaml").unlink()
    for name, text in (("foreign", '{"loss": 1}\n'), ("empty", "")):
        Path("odd", name).mkdir()
        Path("odd", name, "metrics.jsonl").write_text(text)
    Path("odd/none").mkdir()
    Path("file").touch()
    found = made("runs", "odd", "odd/none", "gone", "file")
    assert found.runs == 5
    notes = "\n".join(found.notes)
    for told in (
        "`runs/fa-0`: 1 line of its log is no record",
        "`fa`: no run came to its end; results and curves are of where they stand",
        "`odd/cut/state.safetensors` is damaged or is no checkpoint",
        "`odd/bare`: without a spec that can be read",
        "`odd/foreign/metrics.jsonl` holds no record of an epoch",
        "`odd/empty/metrics.jsonl` holds no record of an epoch",
        "`odd/none` holds no run",
        "`gone` does not exist",
        "`file` is a file, and no folder of a run",
    ):
        assert told in notes
    assert "1 of 2 epochs" in found.html


def test_a_folder_without_runs_is_refused(place: Path) -> None:
    with pytest.raises(FacError, match="there is nothing to report; `gone` does not exist"):
        made("gone")


def test_data_that_are_gone_are_said(place: Path) -> None:
    Path("test.npz").unlink()
    html = made("runs").html
    assert "not measured: " in html
    assert "test.npz" in html
    assert "80 %" not in html
    assert "networks were not measured" in made("runs", measure=False).html


def test_a_spec_that_cannot_be_read_here_is_said(place: Path) -> None:
    spec = Path("runs/fa-0/spec.fac.yaml")
    spec.write_text(spec.read_text().replace("relu", "relux"))
    html = made("runs/fa-0", measure=False).html
    assert "its spec has errors here; a plug-in may be missing" in html
    assert "2 epochs; how many were meant is not known" in html


def test_what_cannot_be_compared_is_said(place: Path) -> None:
    spec = Path("runs/fa-0/spec.fac.yaml")
    spec.write_text(spec.read_text().replace("batch: 8", "batch: 4").replace("test.npz", "other.npz"))
    notes = made("runs", measure=False).notes
    assert "settings differ in `train.batch`: equal steps are not equally many samples" in notes
    assert "settings differ in `data`: their numbers are not of one task" in notes


def test_a_comparison_has_its_own_table(place: Path) -> None:
    kept = partial(fac.compare, out="compared", backend="reference", audit=False)
    kept("small.fac.yaml", ["bp", "fa"], seeds=2, contrasts=["fa:bp"])
    found = made("compared")
    assert {label: len(runs) for label, runs in found.settings.items()} == {"bp": 2, "fa": 2}
    assert "Contrasts of compared, declared before it was trained" in found.html
    assert "<code>fa:bp</code>: no verdict below 5 seeds" in found.html
    shutil.rmtree("compared/runs/02-fa-seed-1")
    assert "`compared`: 1 of 4 runs have not begun" in made("compared").notes
    Path("compared/plan.json").write_text("{}")
    assert made("compared").runs == 3


def test_runs_of_another_start_are_no_seeds_of_one_setting(place: Path) -> None:
    fac.train("small.fac.yaml", out="runs/bp-2", init="runs/fa-0", backend="reference")
    found = made("runs/bp-0", "runs/bp-1", "runs/bp-2", measure=False)
    assert found.settings == {
        "from scratch": ("runs/bp-0", "runs/bp-1"),
        "from fa-0": ("runs/bp-2",),
    }
    told = "settings differ in what they began with: equal steps are not equally much training"
    assert found.notes == (told,)


def test_a_seed_that_is_repeated_counts_once(place: Path) -> None:
    once = results(made("runs/bp-0", "runs/bp-1", measure=False))
    fac.train("small.fac.yaml", out="again", backend="reference")
    found = made("runs/bp-0", "runs/bp-1", "again", measure=False)
    assert found.settings == {"small": ("runs/bp-0", "runs/bp-1", "again")}
    (note,) = found.notes
    assert note.startswith("`small`: `again` repeats seed 0 of `runs/bp-0`; results")
    assert [cell.removesuffix(" (2 of 3)") for cell in results(found)[2:]] == once[2:]
    assert results(made("runs/bp-0", "again", measure=False))[-1].count("±") == 0


def test_the_interval_of_a_share_is_within_all_of_it(place: Path) -> None:
    for seed, accuracy in ((0, 0.4), (1, 0.9)):
        log = Path(f"runs/bp-{seed}/metrics.jsonl")
        log.with_name("outcome.json").unlink()  # which holds the digest of the log
        log.write_text(re.sub(r'"test_accuracy": [\d.]+', f'"test_accuracy": {accuracy}', log.read_text()))
    assert "65.0 ± 35.4 [0.0, 100.0]" in results(made("runs/bp-0", "runs/bp-1", measure=False))


def test_where_data_lie_tells_no_runs_apart(place: Path) -> None:
    kept = partial(fac.compare, out="deep/er/compared", backend="reference", audit=False)
    kept("small.fac.yaml", ["bp"], seeds=3)
    near, far = Path("runs/bp-0"), Path("deep/er/compared/runs/01-bp-seed-2")
    assert "../../train.npz" in (near / "spec.fac.yaml").read_text()
    assert "../../../../../train.npz" in (far / "spec.fac.yaml").read_text()
    assert made(str(near), str(far), measure=False).settings == {"small": (str(near), str(far))}
    both = made("runs", "deep", measure=False)
    assert [note for note in both.notes if "`data`" in note] == []


def test_other_samples_of_one_name_are_other_data(place: Path) -> None:
    shutil.copytree("runs", "other/runs")
    for name in ("train.npz", "test.npz"):
        shutil.copy(name, "other")
    assert len(made("runs/bp-0", "other/runs/bp-1", measure=False).settings) == 1
    samples = dict(np.load("other/train.npz"))
    np.savez("other/train.npz", x=-samples["x"], y=samples["y"])
    fac.train("other/runs/bp-1/spec.fac.yaml", out="other/anew", backend="reference")
    found = made("runs/bp-0", "other/anew", measure=False)
    assert len(found.settings) == 2
    assert "settings differ in `data`: their numbers are not of one task" in found.notes


def test_a_result_that_is_hardly_one_is_marked(place: Path) -> None:
    compared = partial(fac.compare, out="compared", backend="reference", audit=False)
    compared("small.fac.yaml", ["bp"], seeds=1)
    outcome = Path("compared/runs/01-bp-seed-0/outcome.json")
    found = json.loads(outcome.read_text())
    found["concerns"] = [{"kind": "chance", "message": "no better than `x`", "figures": {}, "of": ""}]
    del found["digest"]
    outcome.write_bytes(sealed(found))
    told = made("compared", measure=False)
    assert "! `bp`, `compared/runs/01-bp-seed-0`: no better than `x`" in told.notes
    assert "<td>complete !</td>" in told.html
    assert results(told)[-1].endswith(" !")
    assert "!" not in "".join(results(made("runs/bp-0", measure=False)))


def test_a_log_whose_loss_rose_is_marked(place: Path) -> None:
    log = Path("runs/fa-0/metrics.jsonl")
    Path("runs/fa-0/outcome.json").unlink()  # which holds the digest of the log
    *before, last = map(json.loads, log.read_text().splitlines())
    last["test_loss"] = 1463534501090837.25
    log.write_text("".join(f"{json.dumps(line)}\n" for line in (*before, last)))
    found = made("runs/fa-0", measure=False)
    (note,) = found.notes
    begin = f"{before[0]['test_loss']:.4g}"
    assert (
        note
        == f"! `small`, `runs/fa-0`: the test loss rose from {begin} before the first step to 1.464e+15 in epoch 2"
    )
    assert "1.46e15 !" in results(found)
    last["test_loss"] = None
    log.write_text("".join(f"{json.dumps(line)}\n" for line in (*before, last)))
    assert made("runs/fa-0", measure=False).notes == (
        "! `small`, `runs/fa-0`: the test loss of epoch 2 is not finite",
    )


def test_what_is_said_of_several_runs_alike_is_said_once() -> None:
    told = [
        ("a", "activations grow 1,234-fold in `fc1`, more than 50"),
        ("b", "activations grow 2.5e+07-fold in `fc1`, more than 50"),
        ("c", "activations grow 99-fold in `fc2`, more than 50"),
        ("d", "something else"),
        ("e", "activations grow 77-fold in `fc1`, more than 50"),
    ]
    assert list(_likewise("audit: `x`", told)) == [
        "audit: `x`, `a`: activations grow 1,234-fold in `fc1`, more than 50 (`b`, `e` likewise, with other numbers)",
        "audit: `x`, `c`: activations grow 99-fold in `fc2`, more than 50",
        "audit: `x`, `d`: something else",
    ]


def test_from_python(place: Path) -> None:
    found = fac.report("runs", "r.html", title="<mine>")
    assert Path("r.html").read_text() == found.html
    assert "<title>&lt;mine&gt;</title>" in found.html
    assert repr(found).startswith("<report of 3 runs of 2 settings, ")
    trained = fac.train(
        fac.load(SPEC),
        {p: tuple(np.load(f"{p}.npz").values()) for p in ("train", "test")},
        backend="reference",
    )
    with pytest.raises(FacError, match="a report is of what is kept"):
        fac.report(trained)


def test_a_run_that_keeps_the_best_counts_with_the_epoch_that_it_offers(place: Path) -> None:
    """With a rate that throws the weights about, an early epoch is the best by validation."""
    changes = ["data.validation=0.25", "train.epochs=6", "train.keep=best", "update.lr=8.0"]
    folders, notes = [place / "kept" / seed for seed in "01"], list[str]()
    for seed, folder in enumerate(folders):
        fac.train(
            "small.fac.yaml", out=folder, overrides=[*changes, f"train.seed={seed}"], backend="reference"
        )
    runs = [run for folder in folders if (run := read(folder, notes))]
    (told,) = with_results([setting("kept", runs, notes)], notes)
    logs = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in folders
    ]
    best = [min(log[1:], key=lambda row: row["validation_loss"])["test_loss"] for log in logs]
    assert best != [log[-1]["test_loss"] for log in logs], "else the last epoch would do"
    assert told.results["test_loss"].mean == pytest.approx(np.mean(best), rel=1e-12)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `swept`, of 3 settings for `bp` and 6 for `ldfa`."""
    place = tmp_path_factory.mktemp("swept")
    draw = np.random.default_rng(0)
    for name, n in (("train", 40), ("test", 20)):
        x = draw.standard_normal((n, 4))
        np.savez(place / f"{name}.npz", x=x, y=x[:, :3].argmax(1))
    fac.load({**SPEC, "data": {**SPEC["data"], "validation": 0.25}}).save(place / "small.fac.yaml")
    fac.sweep(
        place / "small.fac.yaml",
        {"update.lr": "0.01,0.1,1.0", "feedback.rank": "1,2"},
        rules=["bp", "ldfa"],
        trials=8,
        seeds=2,
        prune=False,
        audit=False,
        out=place / "swept",
        backend="reference",
    )
    return place / "swept"


def test_a_sweep_is_its_space_its_trials_by_validation_and_the_best_of_them(swept: Path) -> None:
    found = reported([swept], measure=False)
    assert {label: len(runs) for label, runs in found.settings.items()} == {"bp": 2, "ldfa": 2}
    assert all("/best/runs/" in run for runs in found.settings.values() for run in runs)
    assert len(found.notes) < 5
    (section,) = re.findall(r'<section id="sweeps">(.*?)</section>', found.html, re.DOTALL)
    trials = json.loads((swept / "trials.json").read_text())["trials"]
    for rule in ("bp", "ldfa"):
        complete = [t for t in trials if t["rule"] == rule and t["state"] == "complete"]
        best = max(complete, key=lambda t: (t["value"], -t["trial"]))
        diverged = sum(t["state"] == "diverged" for t in trials if t["rule"] == rule)
        row = f"<td>{len(complete)}</td><td>0</td><td>{diverged}</td><td>{100 * best['value']:.1f}</td>"
        assert f"{row}<td>update.lr {best['settings']['update.lr']:.4g}" in section
    assert section.count("<circle") >= len([t for t in trials if t["state"] == "complete"])
    assert section.count("<figure>") == 2, "a picture for each setting"
    assert "0.01,0.1,1.0" in section
    logs = [
        json.loads(line)
        for log in swept.glob("trials/*/*/metrics.jsonl")
        for line in log.read_text().splitlines()
    ]
    tested = {f"{log['test_loss']:.{digits}g}" for log in logs if log["test_loss"] for digits in (3, 4)}
    shown = set(re.findall(r">(\d+\.\d+)<", section))
    assert tested
    assert not tested & shown, "no figure of a test set"


def test_what_is_missing_or_foreign_in_a_sweep_is_said(swept: Path, tmp_path: Path) -> None:
    def after(change: Callable[[Path], object], *named: str) -> Report:
        here = tmp_path / "s"
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(swept, here)
        change(here)
        return reported([here / name for name in named or (".",)], measure=False)

    def rewrite(here: Path, name: str, **others: Any) -> None:
        (here / name).write_text(json.dumps(json.loads((here / name).read_text()) | others))

    for change, told in (
        (lambda here: shutil.rmtree(here / "best"), "the best settings are not compared yet"),
        (lambda here: (here / "trials.json").unlink(), "has no `trials.json`"),
        (lambda here: (here / "trials.json").write_text("[" * 100_000), "is not what `fac sweep` writes"),
        (lambda here: rewrite(here, "trials.json", trials=[{"rule": 1}]), "is not what `fac sweep` writes"),
        (lambda here: rewrite(here, "trials.json", plan="0"), "is of another sweep"),
        (lambda here: rewrite(here, "sweep.json", over=1), "is not the plan of a sweep"),
    ):
        found = after(change)
        assert any(told in note for note in found.notes), told
        assert "test accuracy" not in found.html or found.settings.keys() == {"bp", "ldfa"}
    alone = after(lambda here: None, "trials/01-bp/000")
    assert any("name the folder of the sweep" in note for note in alone.notes)
