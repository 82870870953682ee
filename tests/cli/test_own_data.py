"""A table of one's own from check to prediction: names of classes, and numbers that are scaled alike everywhere."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fac import evaluate
from fac.training import checkpoint, metadata

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")
SPEC = """\
fac: 1
name: flowers
input: {shape: [2]}
layers:
  - {kind: linear, out: 8}
  - {kind: relu}
  - {kind: linear, out: 3}
loss: {kind: cross_entropy}
feedback: {rule: bp}
update: {rule: adam, lr: 0.02}
data: {source: csv, train: flowers.csv, y: kind, test_share: 0.2, validation: 0.1}
train: {epochs: 3, batch: 8}
"""
NAMES = ["rose", "tulip", "violet"]


@pytest.fixture
def table(tmp_path: Path) -> NDArray[np.float64]:
    """90 rows of three kinds, far from 0."""
    rng = np.random.default_rng(0)
    rows: NDArray[np.float64] = rng.normal(0, 1, (90, 2)) * (1, 50) + np.repeat(
        [[10, 500], [12, 900], [14, 500]], 30, 0
    )
    lines = (f"{a!r},{b!r},{NAMES[i // 30]}" for i, (a, b) in enumerate(rows.tolist()))
    (tmp_path / "flowers.csv").write_text("length,weight,kind\n" + "\n".join(lines) + "\n")
    (tmp_path / "f.fac.yaml").write_text(SPEC)
    return rows


@pytest.mark.usefixtures("table")
def test_names_of_classes_are_shown_wherever_there_are_classes(run: Run) -> None:
    assert run("train", "f.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    out = run("evaluate", "r", *REFERENCE)[1]
    assert [line.split()[0] for line in out.splitlines()[-3:]] == NAMES
    found = json.loads(run("evaluate", "r", *REFERENCE, "--split", "validation", "--json")[1])
    assert [one["name"] for one in found["classes"]] == NAMES
    assert (found["samples"], sum(one["labels"] for one in found["classes"])) == (7, 7)
    log = json.loads(Path("r/metrics.jsonl").read_text().splitlines()[-1])
    assert found["means"]["loss"] == pytest.approx(log["validation_loss"])
    assert run("data", "f.fac.yaml", "-o", "d", "--precision", "float64")[0] == 0
    assert run("predict", "r", "d/test.npz", *REFERENCE, "-o", "p.csv")[::2] == (0, "")
    with open("p.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["class"] == NAMES[int(row["label"])] for row in rows)


def test_a_file_is_scaled_as_the_training_was(table: NDArray[np.float64], run: Run) -> None:
    """Raw numbers by what was kept, and what `fac data` wrote not once more: both give the same."""
    assert run("train", "f.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    assert run("data", "f.fac.yaml", "-o", "d", "--precision", "float64")[0] == 0
    kept = metadata.scalings(checkpoint.load(Path("r")).about)["x"]
    with np.load("d/test.npz") as stored:
        x, y = stored["x"], stored["y"]
    raw = x * kept.deviation + kept.mean
    assert np.isclose(raw[:, None], table[None]).all(2).any(1).all(), "these are rows of the table"
    np.savez("raw.npz", x=raw, y=y)
    status, _, err = run("predict", "r", "raw.npz", *REFERENCE, "-o", "raw-p.npz")
    assert (status, err) == (0, "`x` of `raw.npz`: standardised as the training samples were\n")
    np.savez("divided.npz", x=raw / 255, y=y)
    err = run("predict", "r", "divided.npz", *REFERENCE, "-o", "p.npz")[2]
    assert "`x` of `divided.npz` is unlike what the network was trained on" in err
    assert "\\n" not in err, "the end of a line is none that is escaped"
    assert run("predict", "r", "d/test.npz", *REFERENCE, "-o", "p.npz")[2] == ""
    with np.load("raw-p.npz") as first, np.load("p.npz") as second:
        np.testing.assert_allclose(first["output"], second["output"], rtol=1e-9)
        assert first["class"].tolist() == [NAMES[label] for label in first["label"]]
    by_file, by_run = (
        json.loads(run("evaluate", "r", *REFERENCE, *more, "--json")[1])["means"]
        for more in (("--data", "raw.npz"), ())
    )
    assert by_file == pytest.approx(by_run)


@pytest.mark.usefixtures("table")
def test_other_rows_do_not_change_how_a_run_reads(run: Run) -> None:
    """The statistics are a part of the network: measured once."""
    assert run("train", "f.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    before = checkpoint.load(Path("r")).about[metadata.SCALINGS]
    text = Path("flowers.csv").read_text().splitlines()
    text[1:9] = ["1000.0,1e6,rose"] * 8
    Path("flowers.csv").write_text("\n".join(text) + "\n")
    status, _, err = run("train", "--resume", "r", "--set", "train.epochs=4")
    assert status == 0
    assert "warning: the training data are not those that this run began with" in err
    assert checkpoint.load(Path("r")).about[metadata.SCALINGS] == before


@pytest.mark.usefixtures("table")
def test_an_exported_file_says_what_it_reads(run: Run) -> None:
    assert run("train", "f.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    status, _, err = run("export", "r", "-o", "m.onnx")
    assert status == 0
    assert "`m.onnx` reads `x` standardised: less the mean and over the deviation that the metadata" in err


@pytest.mark.usefixtures("table")
def test_what_is_wrong_ends_each_command_with_one_message(run: Run) -> None:
    for setting, message in (
        ("data.y=kond", "has no column `kond` (`data.y`): did you mean `kind`?"),
        ("data.train=none.csv", "`none.csv` (`data.train`) is not a file"),
        ("data.delimiter=;", 'has a single column, `length,weight,kind`: write `delimiter: ","`'),
    ):
        for command in (("train", "f.fac.yaml", "--out", "r"), ("data", "f.fac.yaml")):
            status, out, err = run(*command, "--set", setting)
            assert (status, out) == (2, "")
            assert message in err
            assert len(err.splitlines()) == 1
        assert not Path("r").exists()
    status, out, _ = run("check", "f.fac.yaml", "--set", "data.test=flowers.csv")
    assert status == 1
    assert "`test` and `test_share` both say which samples are for testing: remove one" in out


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of two kinds, in folders, and a spec that reads them."""
    draw = np.random.default_rng(0)
    for kind, level in (("dark", 0), ("light", 100)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(level, level + 156, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{number}.png")
    section = (
        "data: {source: image_folder, train: photos, test_share: 0.25, validation: 0.2, flip: true, crop: 1}"
    )
    text = SPEC.replace("shape: [2]", "shape: [3, 8, 8]").replace(
        "layers:\n", "layers:\n  - {kind: flatten}\n"
    )
    lines = [section if line.startswith("data:") else line for line in text.splitlines()]
    (tmp_path / "f.fac.yaml").write_text("\n".join(lines) + "\n")
    return tmp_path / "photos"


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_folders_of_images_on_each_backend(backend: str, photos: Path, run: Run) -> None:
    """Trained, resumed, evaluated, written and read again: all by the same numbers."""
    on = ("--backend", backend, "--precision", "float32")
    assert run("train", "f.fac.yaml", *on, "--out", "r")[0] == 0
    log = [json.loads(line) for line in Path("r/metrics.jsonl").read_text().splitlines()]
    means = json.loads(run("evaluate", "r", "--backend", backend, "--json")[1])["means"]
    assert means["loss"] == pytest.approx(log[-1]["test_loss"], rel=1e-5)
    assert run("data", "f.fac.yaml", "-o", "d")[0] == 0
    with np.load("d/train.npz") as stored:
        assert stored["x"].shape == (24, 3, 8, 8)
        np.testing.assert_allclose(stored["x"].mean((0, 2, 3)), 0, atol=1e-6)
        np.testing.assert_allclose(stored["x"].std((0, 2, 3)), 1, rtol=1e-5)
    found = json.loads(run("evaluate", "r", "--backend", backend, "--data", "d/test.npz", "--json")[1])
    assert found["means"] == pytest.approx(means, rel=1e-5)
    assert run("predict", "r", "d/test.npz", "--backend", backend, "-o", "p.npz")[0] == 0
    with np.load("p.npz") as predicted:
        assert set(predicted["class"]) <= {"dark", "light", "2"}
    assert run("train", "--resume", "r", "--set", "train.epochs=4")[0] == 0
    (photos / "dark" / "3.png").write_bytes(b"gone")
    status, _, err = run("train", "f.fac.yaml", *on, "--out", "again")
    assert (status, "`dark/3.png` in `photos` (`data.train`) is no image, or is damaged" in err) == (2, True)


@pytest.mark.parametrize("names", [NAMES, ["1", "2", "3"], ["0", "2", "4"]])
def test_labels_of_a_file_are_the_classes_of_the_training(
    table: NDArray[np.float64], run: Run, names: list[str]
) -> None:
    """The rows of the table as a file: by name, or by the numbers that the table has, it is the same set."""
    kinds = np.repeat(names, 30)
    lines = (f"{a!r},{b!r},{kind}" for (a, b), kind in zip(table.tolist(), kinds, strict=True))
    Path("flowers.csv").write_text("length,weight,kind\n" + "\n".join(lines) + "\n")
    assert run("train", "f.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    expected = evaluate("r", (table, np.repeat([0, 1, 2], 30) if names == NAMES else kinds.astype(int)))
    assert expected.means["accuracy"] > 0.8
    assert evaluate("r", (table, kinds)).means == expected.means
    numbers = [] if names == NAMES else [kinds.astype(int)]
    for y in (kinds, *numbers):
        np.savez("all.npz", x=table, y=y)
        status, out, err = run("evaluate", "r", *REFERENCE, "--data", "all.npz", "--json")
        assert status == 0
        assert json.loads(out)["means"] == pytest.approx(expected.means)
        assert ("its numbers are the names of classes" in err) == (y.dtype.kind == "i")
    # what `fac data` writes is numbered already
    assert run("data", "f.fac.yaml", "-o", "d", "--precision", "float64")[0] == 0
    by_file, by_run = (
        json.loads(run("evaluate", "r", *REFERENCE, *more, "--json")[1])["means"]
        for more in (("--data", "d/test.npz"), ())
    )
    assert by_file == pytest.approx(by_run)
    np.savez("all.npz", x=table, y=np.where(kinds == names[2], "7", kinds))
    status, out, err = run("evaluate", "r", *REFERENCE, "--data", "all.npz")
    assert (status, out) == (2, "")
    assert f"label `7` of sample 60 in `all.npz` is no class of this network, which has `{names[0]}`" in err


@pytest.mark.usefixtures("table")
def test_text_that_is_damaged_is_refused(run: Run) -> None:
    assert run("train", "f.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    np.savez("odd.npz", x=np.zeros((2, 2)), y=np.array([0x110000] * 2, "<u4").view("<U1"))
    status, out, err = run("evaluate", "r", *REFERENCE, "--data", "odd.npz")
    assert (status, out) == (2, "")
    assert "array `y` in `odd.npz` cannot be read as plain numbers: it holds what is no letter" in err


def rewritten(change: Callable[[int, list[str]], list[str]]) -> None:
    """The table with each line changed; the first is line 0."""
    with open("flowers.csv", newline="") as file:
        rows = list(csv.reader(file))
    Path("flowers.csv").write_text(
        "".join(",".join(change(line, row)) + "\n" for line, row in enumerate(rows))
    )


@pytest.mark.usefixtures("table")
def test_a_table_whose_columns_change_places_is_read_by_their_names(run: Run) -> None:
    assert run("train", "f.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    before = json.loads(run("evaluate", "r", *REFERENCE, "--json")[1])["means"]
    rewritten(lambda _, row: [row[1], row[0], row[2]])
    status, out, err = run("evaluate", "r", *REFERENCE, "--json")
    assert (status, json.loads(out)["means"]) == (0, before)
    assert "the columns of `csv` are in another order than in the training, and read by name" in err
    status, out, err = run("train", "--resume", "r", "--set", "train.epochs=4")
    assert status == 0
    assert "the columns of `csv` are in another order" in err
    assert "are not those that this run began with" not in err
    rewritten(lambda line, row: row if line else ["height", *row[1:]])
    for command in (
        ("evaluate", "r"),
        ("train", "--resume", "r", "--set", "train.epochs=5"),
        ("train", "--fork", "r", "--set", "train.epochs=5", "--out", "s"),
    ):
        status, out, err = run(*command)
        assert status == 2
        assert (
            "`csv` has the columns `height`, `length`, and this network was trained on `length`, `weight`"
            in err
        )


@pytest.mark.usefixtures("table")
def test_classes_that_are_called_otherwise_are_refused(run: Run) -> None:
    """`rose` as `zinnia` would be the last of three, and each would have the number of the next."""
    assert run("train", "f.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    rewritten(lambda _, row: [*row[:2], row[2].replace("rose", "zinnia")])
    for command in (
        ("evaluate", "r"),
        ("train", "--resume", "r", "--set", "train.epochs=5"),
        ("train", "--fork", "r", "--set", "train.epochs=5", "--out", "s"),
    ):
        status, _, err = run(*command)
        assert status == 2
        assert (
            "`csv` has the classes `tulip`, `violet`, `zinnia`, and this network was trained on `rose`, `tulip`, "
            "`violet`: " in err
        )


@pytest.mark.usefixtures("table")
def test_parameters_of_a_run_whose_samples_were_standardised_otherwise(run: Run) -> None:
    assert run("train", "f.fac.yaml", *REFERENCE, "--out", "r")[0] == 0
    told = "`x` is standardised otherwise than in the run that the parameters are from"
    status, out, err = run("train", "f.fac.yaml", *REFERENCE, "--init", "r", "--out", "s")
    assert (status, told in out + err) == (0, False)
    rewritten(lambda line, row: ["1000.0", *row[1:]] if 0 < line < 10 else row)
    status, out, err = run("train", "f.fac.yaml", *REFERENCE, "--init", "r", "--out", "t")
    assert (status, (out + err).count(told)) == (0, 1)
