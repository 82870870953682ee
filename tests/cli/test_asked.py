"""`fac predict` and `fac evaluate` on files as the training read them: tables, images, arrays."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

import fac
from fac.training import checkpoint

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")
SPEC = """\
fac: 1
name: asked
input: {shape: SHAPE}
layers:
  - {kind: flatten}
  - {kind: linear, name: fc, out: 3}
loss: {kind: cross_entropy}
feedback: {rule: bp}
update: {rule: sgd, lr: 0.1}
data: DATA
train: {epochs: 2, batch: 8, seed: 3}
"""
FORMULA = "=1+1"
"""A class that a spreadsheet would compute."""
CLASSES = [FORMULA, "b", "c"]


def trained(run: Run, shape: list[int], data: str) -> None:
    Path("s.fac.yaml").write_text(SPEC.replace("SHAPE", str(shape)).replace("DATA", data))
    status, _, err = run("train", "s.fac.yaml", *REFERENCE, "--out", "r")
    assert status == 0, err
    Path("r/outcome.json").unlink()  # that so short a training comes to nothing is not what is asked


def predicted(run: Run, name: str) -> tuple[list[dict[str, str]], str]:
    """The rows of the table, and what was said."""
    status, _, err = run("predict", "r", name, *REFERENCE, "-o", "p.csv")
    assert status == 0, err
    with open("p.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file)), err


def outputs(rows: list[dict[str, str]]) -> NDArray[np.float64]:
    return np.array([[float(row[key]) for key in row if key.startswith("output_")] for row in rows])


def accuracy(run: Run, name: str) -> float:
    status, out, err = run("evaluate", "r", *REFERENCE, "--data", name, "--json")
    assert status == 0, err
    return float(json.loads(out)["means"]["accuracy"])


def parameters() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight and bias of the run."""
    state = checkpoint.load(Path("r")).state
    return state["fc.weight"], state["fc.bias"]


@pytest.fixture
def table(run: Run) -> NDArray[np.float64]:
    """[30, 2]: what a run in `r` was trained on, without scale."""
    rows = np.random.default_rng(0).normal((10, -500), (1, 50), (30, 2))
    lines = (f"{x!r};{CLASSES[n % 3]};{y!r}" for n, (x, y) in enumerate(rows.tolist()))
    Path("train.csv").write_text("a;kind;b\n" + "\n".join(lines) + "\n")
    trained(run, [2], '{source: csv, train: train.csv, test: train.csv, y: kind, delimiter: ";"}')
    return rows


def test_a_table_is_read_by_the_names_of_its_columns(table: NDArray[np.float64], run: Run) -> None:
    """Columns in another order, one more, no classes: outputs as the parameters and the means of the training say."""
    lines = (f"{n};{y!r};{x!r}" for n, (x, y) in enumerate(table.tolist()[:4]))
    Path("new.csv").write_text("id;b;a\n" + "\n".join(lines) + "\n")
    rows, err = predicted(run, "new.csv")
    weight, bias = parameters()
    scaled = (table - table.mean(0)) / table.std(0)
    np.testing.assert_allclose(outputs(rows), (scaled @ weight.T + bias)[:4], rtol=1e-9)
    assert [row["line"] for row in rows] == ["2", "3", "4", "5"]
    shown = {FORMULA: f"'{FORMULA}"}
    assert [row["class"] for row in rows] == [
        shown.get(name, name) for name in (CLASSES[int(row["label"])] for row in rows)
    ]
    assert "`new.csv`: columns that the network does not read, `id`\n" in err
    found = fac.predict("r", "new.csv", backend="reference")
    np.testing.assert_array_equal(found["line"], [2, 3, 4, 5])
    np.testing.assert_allclose(found["output"], outputs(rows))


def test_tables_of_another_format_and_their_classes(table: NDArray[np.float64], run: Run) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    kinds = [CLASSES[n % 3] for n in range(30)]
    parquet.write_table(pyarrow.table({"b": table[:, 1], "kind": kinds, "a": table[:, 0]}), "new.parquet")
    rows, _ = predicted(run, "new.parquet")
    assert rows[2]["row"] == "3"
    found = np.array([int(row["label"]) for row in rows])
    assert accuracy(run, "new.parquet") == accuracy(run, "train.csv") == np.mean(found == np.arange(30) % 3)
    assert fac.evaluate("r", "new.parquet", backend="reference").samples == 30


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("n.csv", "a;c\n1;2\n", "`n.csv` has no column `b` (which the network reads): it has `a`, `c`"),
        (
            "n.csv",
            "a;b\n1;\n",
            "1 cell is missing, 1 in `b` (first in line 2): fill them in, or leave rows out",
        ),
        ("n.csv", "a;b\n1;x\n", "`n.csv`, line 2: `x` in column `b` is no finite number: mend it\n"),
        (
            "n.csv",
            "a,b\n1,2\n",
            "single column, `a,b`: the training data have `;` between cells, write it so",
        ),
        ("n.csv", "a;b\n1;\xe4\n", "is not text in utf-8: write it so, as the training data are"),
        ("n.parquet", "a;b\n", "`n.parquet` is no Parquet file, or is damaged"),
        ("n.png", "a;b\n", "become numbers: give a table, a `.csv` or a `.parquet`\n"),
        (
            "n.csv",
            "\x89PNG\r\n\x1a\n",
            "`n.csv` is no text, but a PNG image by its first bytes: give separated",
        ),
        ("n.npy", "a;b\n", "array `x` in `n.npy` cannot be read as plain numbers"),
    ],
)
def test_what_is_wrong_with_a_table(run: Run, name: str, text: str, said: str) -> None:
    Path(name).write_text(text, encoding="latin-1")
    status, out, err = run("predict", "r", name, *REFERENCE, "-o", "p.csv")
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert not Path("p.csv").exists()


@pytest.mark.usefixtures("table")
def test_to_evaluate_classes_are_needed_and_known(run: Run) -> None:
    for text, said in (
        ("a;b\n1;2\n", "`n.csv` has no column `kind` (`data.y` of the training): it has `a`, `b`"),
        ("a;b;kind\n1;2;z\n", "`n.csv`, line 2: class `z` is none of the training samples"),
    ):
        Path("n.csv").write_text(text)
        status, out, err = run("evaluate", "r", *REFERENCE, "--data", "n.csv")
        assert (status, out, said in err) == (2, "", True), err


@pytest.fixture
def photos(run: Run) -> Path:
    """Folders of images that a run in `r` was trained on, resized and in colours."""
    draw = np.random.default_rng(0)
    for place, kind in enumerate(CLASSES):
        Path("photos", kind).mkdir(parents=True)
        for number in range(6):
            pixels = draw.integers(60 * place, 60 * place + 100, (6, 5, 3), np.uint8)
            Image.fromarray(pixels).save(Path("photos", kind, f"{number}.png"))
    trained(
        run,
        [3, 4, 4],
        "{source: image_folder, train: photos, test_share: 0.3, size: [4, 4], channels: colour}",
    )
    return Path("photos")


def test_images_are_resized_as_those_of_the_training(photos: Path, run: Run) -> None:
    """One file, a flat folder and folders of classes: the same image has the same outputs, and its name."""
    flat = Path("flat")
    flat.mkdir()
    for kind in CLASSES:
        (flat / f"@{kind}.png").write_bytes((photos / kind / "3.png").read_bytes())
    (flat / "notes.txt").write_text("none")
    rows, err = predicted(run, "flat")
    assert [key for key in rows[0] if key.startswith("output_")] == [f"output_{name}" for name in CLASSES]
    assert [row["name"] for row in rows] == ["'@=1+1.png", "'@b.png", "'@c.png"]
    assert "`flat`: 1 file of other kinds than images left out, `notes.txt`\n" in err
    below, _ = predicted(run, "photos")
    same = [row for row in below if row["name"].endswith("3.png")]
    assert [row["name"] for row in same] == ["'=1+1/3.png", "b/3.png", "c/3.png"]
    np.testing.assert_allclose(outputs(same), outputs(rows))
    one, err = predicted(run, "photos/b/3.png")
    np.testing.assert_allclose(outputs(one), outputs(rows)[1:2])
    assert (one[0]["name"], "unlike" in err) == ("3.png", False)
    assert run("predict", "r", "flat", *REFERENCE, "-o", "p.npz")[0] == 0
    with np.load("p.npz") as found:
        assert found["name"].tolist() == ["@=1+1.png", "@b.png", "@c.png"], "arrays are as they are"
        np.testing.assert_array_equal(found["output"], outputs(rows))
    right = [CLASSES[int(row["label"])] == row["name"].lstrip("'").split("/")[0] for row in below]
    assert accuracy(run, "photos") == np.mean(right)
    grey = Image.open(photos / "b" / "3.png").convert("L")
    grey.save("grey.png")
    grey.convert("RGB").save("three.png")
    np.testing.assert_array_equal(
        outputs(predicted(run, "grey.png")[0]), outputs(predicted(run, "three.png")[0])
    )


def test_what_is_wrong_with_images(photos: Path, run: Run) -> None:
    Path("cut.png").write_bytes((photos / "b" / "1.png").read_bytes()[:60])
    Path("none.png").write_text("no image")
    Path("empty").mkdir()
    (Path("flat") / "fox").mkdir(parents=True)
    Path("t.csv").write_text("a,b\n1,2\n")
    for command, name, said in (
        ("predict", "cut.png", "`cut.png` is no image, or is damaged"),
        ("predict", "none.png", "`none.png` is no image, or is damaged: it begins as none of PNG, JPEG"),
        ("predict", "empty", "`empty` holds no image, which ends in .png"),
        ("predict", "t.csv", "is known to it: give an image, or a folder of images\n"),
        ("predict", "nowhere.png", "`nowhere.png` does not exist"),
        (
            "evaluate",
            "photos/b/1.png",
            "is an image without a label: give a folder with a folder for each class",
        ),
        ("evaluate", "photos/b", "`photos/b` has no folders, which would be its classes"),
        ("evaluate", "flat", "`flat` has a folder `fox`, which is no class of the training images"),
    ):
        more = ("-o", "p.csv") if command == "predict" else ()
        named = (name,) if command == "predict" else ("--data", name)
        status, out, err = run(command, "r", *named, *REFERENCE, *more)
        assert (status, out, said in err) == (2, "", True), err


def test_arrays_by_the_names_of_the_training(run: Run) -> None:
    """`.npz`, `.safetensors`, folders of `.npy` and one `.npy` hold the same samples, whatever the spec calls them."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(3, 2, (20, 4)), draw.integers(0, 3, 20)
    arrays = {"images": x, "labels": y}
    np.savez("all.npz", images=x, labels=y, part=np.repeat([0, 2], 10))
    save_file(arrays, "all.safetensors")
    Path("all").mkdir()
    for name, array in arrays.items():
        np.save(Path("all", f"{name}.npy"), array)
    np.save("some.npy", x)
    trained(
        run, [4], "{source: arrays, train: all.npz, split: part, x: images, y: labels, standardise: each}"
    )
    weight, bias = parameters()
    expected = (x - x[:10].mean(0)) / x[:10].std(0) @ weight.T + bias
    for name in ("all.npz", "all.safetensors", "all", "some.npy"):
        np.testing.assert_allclose(outputs(predicted(run, name)[0]), expected, rtol=1e-9)
    right = np.mean(expected.argmax(1) == y)
    assert [accuracy(run, name) for name in ("all.npz", "all.safetensors", "all")] == [right] * 3
    status, _, err = run("evaluate", "r", *REFERENCE, "--data", "some.npy")
    assert (status, "`some.npy` has the arrays `some`, and the network is fed with `x` and `y`" in err) == (
        2,
        True,
    )
