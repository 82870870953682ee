"""What the command line says of a spec that is solved: shown, trained, resumed, compared, exported, refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fac.cli import fac as group
from fac.pipeline import check

SPEC = Path(__file__).parents[2] / "examples" / "zorb.fac.yaml"


def fac(*arguments: str) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = fac("train", str(SPEC), "--backend", "reference", "--out", str(folder))
    assert done.exit_code == 0, done.output
    assert "solving 2 layers, one after the other, on 1,400 samples" in done.output
    assert "\nsolved  loss 0." in done.output
    assert not any(word in done.output for word in ("epoch", "samples/s", "per step", "eta"))
    assert "solved `fc1`: 1,400 rows of 65 features, rank 62, 256 outputs" in done.output
    return folder


def test_the_log_has_one_line_without_a_learning_rate(run: Path) -> None:
    _, line = (run / "metrics.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["epoch"], found["step"], found["lr"]) == (1, 2, None)
    assert found["train_loss"] < 0.1
    assert found["test_accuracy"] > 0.95


def test_a_run_that_is_done_says_so(run: Path) -> None:
    before = (run / "state.safetensors").read_bytes()
    done = fac("train", "--resume", str(run))
    assert done.exit_code == 0
    assert "solved already: nothing is left to do for 2 layers" in done.output
    assert (run / "state.safetensors").read_bytes() == before


def test_what_will_be_solved_is_shown() -> None:
    table = fac("show", str(SPEC)).output
    assert " fc1     linear     256  16,640      1        64      256  N     logits, sigmoid_1\n" in table
    assert " zorb (rcond 1e-09, rows 512): one after the other" in table
    found = json.loads(fac("show", str(SPEC), "--json").output)
    assert found["solve"]["rule"] == "zorb"
    assert found["layers"][0]["solve"]["through"] == ["logits", "sigmoid_1"]


@pytest.mark.parametrize("option", ["--updates", "--cost", "--after=build"])
def test_there_is_no_step_to_show(option: str) -> None:
    done = fac("show", str(SPEC), option)
    assert done.exit_code != 0
    assert "is solved, and has no step for" in str(done.exception)


def test_the_long_form_is_the_same_spec(tmp_path: Path) -> None:
    long = tmp_path / "long.yaml"
    long.write_text(fac("show", str(SPEC), "--expand").output)
    assert "feedback" not in long.read_text()
    assert "no findings" in fac("check", str(long)).output


def test_a_solved_spec_is_compared_as_it_is() -> None:
    done = fac("compare", str(SPEC), "--seeds", "1", "--backend", "reference")
    assert done.exit_code == 0, done.output
    # no feedback, so no words of it; targets go back through weights
    assert re.search(r"^ zorb +– +– +– +yes +97\.2 ", done.output, re.MULTILINE), done.output
    refused = fac("compare", str(SPEC), "--rules", "bp")
    assert "is solved, and sends no errors that `bp` could route" in str(refused.exception)


def test_it_is_exported(run: Path, tmp_path: Path) -> None:
    done = fac("export", str(run), "-o", str(tmp_path / "model.onnx"))
    assert done.exit_code == 0, done.output
    assert "397 of 397 predicted classes agree" in done.output


def test_it_is_not_compiled(tmp_path: Path) -> None:
    done = fac("compile", str(SPEC), "-o", str(tmp_path / "built"))
    assert "there is no training step to compile" in str(done.exception)
    assert not (tmp_path / "built").exists()


def test_another_precision_is_refused(tmp_path: Path) -> None:
    done = fac(
        "train", str(SPEC), "--precision", "float32", "--backend", "reference", "--out", str(tmp_path / "a")
    )
    assert "`zorb` solves in float64, and the training is in float32" in str(done.exception)


def test_a_spec_that_is_solved_and_one_that_is_not() -> None:
    other = SPEC.with_name("digits_ldfa.fac.yaml")
    assert "zorb -> sgd" in fac("diff", str(SPEC), str(other)).output


def test_what_changes_images_has_no_effect_on_what_is_solved() -> None:
    """No step draws it."""
    spec = {
        "fac": 1,
        "name": "images",
        "input": {"shape": (1, 4, 4)},
        "layers": ({"kind": "flatten"}, {"kind": "linear", "name": "out", "out": 3}),
        "loss": {"kind": "cross_entropy"},
        "solve": {"rule": "zorb"},
        "data": {"source": "image_folder", "train": "a", "test": "b", "flip": True, "augment": ("NoSuch",)},
    }
    found = [finding for finding in check(spec) if finding.rule.code == "FAC251"]
    assert [finding.path for finding in found] == [("data", "flip"), ("data", "augment")]
