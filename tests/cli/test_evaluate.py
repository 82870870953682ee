"""`fac evaluate` and `fac predict`."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fac.training import checkpoint

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")


@pytest.fixture
def trained(run: Run, spec: Path) -> Path:
    """A run, and its data in `d`."""
    assert run("train", spec, *REFERENCE, "--out", "r")[0] == 0
    assert run("data", spec, "-o", "d", "--precision", "float64")[0] == 0
    return spec


@pytest.mark.usefixtures("trained")
def test_it_says_what_the_last_line_of_the_log_says(run: Run) -> None:
    status, out, _err = run("evaluate", "r", *REFERENCE, "--json")
    last = json.loads(Path("r/metrics.jsonl").read_text().splitlines()[-1])
    found = json.loads(out)
    assert (status, found["samples"]) == (0, 397)
    assert found["means"] == pytest.approx({"loss": last["test_loss"], "accuracy": last["test_accuracy"]})
    assert sum(one["labels"] for one in found["classes"]) == np.sum(found["confusion"]) == 397
    assert np.trace(found["confusion"]) / 397 == pytest.approx(last["test_accuracy"])
    assert (found["data"], found["split"], found["step"], found["backend"]) == (
        "digits",
        "test",
        42,
        "reference",
    )


@pytest.mark.usefixtures("trained")
def test_a_file_with_the_same_samples_gives_the_same(run: Run) -> None:
    by_file = json.loads(run("evaluate", "r", *REFERENCE, "--data", "d/test.npz", "--json")[1])
    by_run = json.loads(run("evaluate", "r", *REFERENCE, "--json")[1])
    assert by_file.pop("data") == "d/test.npz"
    assert (by_run.pop("data"), by_run.pop("split")) == ("digits", "test")
    assert by_file == by_run
    train = json.loads(run("evaluate", "r", *REFERENCE, "--split", "train", "--json")[1])
    assert (train["samples"], train["split"]) == (1400, "train")


@pytest.mark.usefixtures("trained")
def test_that_a_file_holds_the_training_samples_is_said(run: Run, tmp_path: Path) -> None:
    told = "holds the training samples: what is known by heart says nothing of others"
    assert f"`d/train.npz` {told}" in run("evaluate", "r", *REFERENCE, "--data", "d/train.npz")[2]
    assert told not in run("evaluate", "r", *REFERENCE, "--data", "d/test.npz")[2]
    rows = "".join(f"{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(40))
    Path("all.csv").write_text(f"u,v,y\n{rows}")
    (tmp_path / "csv.fac.yaml").write_text(
        "fac: 1\nname: rows\ninput: {shape: [2]}\nlayers: [{kind: linear, name: a, out: 2}]\n"
        "loss: {kind: cross_entropy}\nupdate: {rule: sgd, lr: 0.1}\n"
        "data: {source: csv, train: all.csv, y: y, test_share: 0.25}\ntrain: {epochs: 1, batch: 8}\n"
    )
    assert run("train", "csv.fac.yaml", *REFERENCE, "--out", "c")[0] == 0
    assert f"`all.csv` {told}" in run("evaluate", "c", *REFERENCE, "--data", "all.csv")[2], (
        "a part was held out"
    )


@pytest.mark.usefixtures("trained")
def test_what_it_prints(run: Run) -> None:
    status, out, _err = run("evaluate", "r", *REFERENCE)
    head, loss, accuracy, calibration, columns, *rows = out.splitlines()
    assert status == 0
    assert head == "`digits-small` after step 42, on 397 test samples of `digits`:"
    assert (loss[:7], accuracy[:11], calibration[:20]) == ("  loss ", "  accuracy ", "  calibration error ")
    assert columns == " class  labels  recall %  precision %  mostly mistaken for"
    assert [row.split()[0] for row in rows] == [str(label) for label in range(10)]


@pytest.mark.usefixtures("trained")
def test_predictions_as_arrays_and_as_a_table(run: Run) -> None:
    assert run("predict", "r", "d/test.npz", *REFERENCE, "-o", "p.npz")[:2] == (
        0,
        "`p.npz`: output [397, 10], label [397], probability [397]\n",
    )
    with np.load("p.npz") as file, np.load("d/test.npz") as data:
        found, y = dict(file), data["y"]
    accuracy = json.loads(run("evaluate", "r", *REFERENCE, "--json")[1])["means"]["accuracy"]
    assert (found["label"] == y).mean() == pytest.approx(accuracy)
    assert run("predict", "r", "d/test.npz", *REFERENCE, "-o", "p.csv")[0] == 0
    with open("p.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["sample", *(f"output_{k}" for k in range(10)), "label", "probability"]
    assert np.array_equal(np.array([row[1:11] for row in rows], float), found["output"])
    assert [int(row[11]) for row in rows] == found["label"].tolist()
    assert [int(row[0]) for row in rows] == list(range(397))


def test_samples_that_are_read_in_another_shape_are_told(run: Run, trained: Path) -> None:
    np.savez("flat.npz", x=np.zeros((2, 64)))
    status, _, err = run("predict", "r", "flat.npz", *REFERENCE, "-o", "p.npz")
    assert (status, err) == (0, "x of shape [64] is read as [8, 8], row by row\n")


def test_what_cannot_be_measured(run: Run, trained: Path) -> None:
    np.savez("other.npz", z=np.zeros((2, 64)))
    np.savez("wide.npz", x=np.zeros((2, 65)), y=np.zeros(2, int))
    np.savez("nan.npz", x=np.full((2, 64), np.nan), y=np.zeros(2, int))
    np.savez("label.npz", x=np.zeros((2, 64)), y=np.full(2, 10))
    np.savez("none.npz")
    np.savez("large.npz", x=np.array([np.zeros(64), np.full(64, 1e38), np.zeros(64)]), y=np.zeros(3, int))
    for name, said in (
        ("gone.npz", "`gone.npz` does not exist"),
        (
            str(trained),
            f"`{trained}` is of a kind that is not read: give `.npz`, `.npy`, `.safetensors`, `.csv`, ",
        ),
        ("none.npz", "`none.npz` has nothing that the network reads, which is `x`, `y`"),
        (
            "large.npz",
            "the network's output for sample 1 is not finite in float32: give numbers of the size of those",
        ),
        (
            "wide.npz",
            "samples in `wide.npz` have shape [65], but the network was trained to read [8, 8]: give samples of that "
            "shape, or of 64 numbers in a row\n",
        ),
        ("nan.npz", "x of sample 0 in `nan.npz` holds nan at [0]: remove"),
        ("label.npz", "label 10 of sample 0 in `label.npz` is out of range: the network has 10 outputs"),
        (
            "other.npz",
            "`other.npz` has the arrays `z`, and the network is fed with `x` and `y`: name each by its feed",
        ),
    ):
        status, out, err = run("evaluate", "r", *REFERENCE, "--data", name, "--precision", "float32")
        assert (status, out) == (2, ""), name
        assert f"fac: {said}" in err, (name, err)
    assert run("evaluate", "r", "--data", "d/test.npz", "--split", "train")[0] == 2
    bare = checkpoint.load(Path("r"))
    checkpoint.save(Path("bare"), bare.state, {"fac_checkpoint": bare.about["fac_checkpoint"]})
    assert run("evaluate", "bare")[::2] == (
        2,
        "fac: `bare` holds no spec: name a checkpoint of `fac train`\n",
    )
    spec = json.loads(bare.about["spec"]) | {"data": None}
    checkpoint.save(Path("free"), bare.state, {**bare.about, "spec": json.dumps(spec)})
    status, _, err = run("evaluate", "free", *REFERENCE)
    assert (status, err) == (
        2,
        "fac: `free` says nothing about data: add a section such as `data: {source: digits}`; `--data` takes samples "
        "from a file, `--base` names the folder of the spec\n",
    )
    assert run("evaluate", "free", *REFERENCE, "--data", "d/test.npz")[0] == 0
    status, _, err = run("evaluate", "r", *REFERENCE, "--base", ".")
    assert (status, "are in no file that a spec names: leave out `--base`" in err) == (2, True)


@pytest.mark.usefixtures("trained")
def test_predictions_lose_no_data(run: Run) -> None:
    np.savez("x.npz", x=np.zeros((2, 64)))
    before = Path("x.npz").read_bytes()
    os.link("x.npz", "hard.npz")
    os.symlink("x.npz", "soft.npz")
    for output, said in (
        ("hard.npz", "`hard.npz` is the file with the samples: give another name to `-o`"),
        ("soft.npz", "`soft.npz` is the file with the samples: give another name to `-o`"),
        ("x.npz", "`x.npz` is the file with the samples: give another name to `-o`"),
        ("d", "`d` is no file that can be written: give `-o` a name that ends in `.npz` or `.csv`"),
        ("p.txt", "`p.txt` is no file that can be written: give `-o` a name that ends in `.npz` or `.csv`"),
        ("gone/p.npz", "cannot write `gone/p.npz`"),
    ):
        status, _, err = run("predict", "r", "x.npz", *REFERENCE, "-o", output)
        assert status == 2
        assert f"fac: {said}" in err
    assert Path("x.npz").read_bytes() == before


def test_a_sample_with_many_outputs_is_no_row(run: Run) -> None:
    Path("s.fac.yaml").write_text(
        "fac: 1\nname: wide\ninput: {shape: [4]}\nlayers: [{kind: linear, name: out, out: 1001}]\nloss: {kind: mse}\n"
        "feedback: {rule: bp}\nupdate: {rule: sgd, lr: 0.1}\n"
        "data: {source: arrays, train: t.npz, test: t.npz}\ntrain: {epochs: 1, batch: 4}\n"
    )
    np.savez("x.npz", x=np.zeros((2, 4)))
    np.savez("t.npz", x=np.eye(4), y=np.ones((4, 1001)))
    assert run("train", "s.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    status, _, err = run("predict", "r", "x.npz", *REFERENCE, "-o", "p.csv")
    assert status == 2
    assert err == (
        "fac: `p.csv` would have 1,001 columns for the outputs of a sample: an `.npz` holds arrays of any shape\n"
    )
    assert run("predict", "r", "x.npz", *REFERENCE, "-o", "p.npz")[0] == 0
