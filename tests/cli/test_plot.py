"""`fac plot` at the command line, and how runs are called."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fac.training.logs import EpochRecord

Run = Callable[..., tuple[int, str, str]]
SPEC = (
    "fac: 1\nname: {name}\nfeedback: {feedback}\nupdate: {{rule: sgd, lr: {lr}}}\ntrain: {{seed: {seed}}}\n"
)


def made(folder: str, seed: int = 0, name: str = "n", feedback: str = "{rule: bp}", lr: float = 0.1) -> str:
    path = Path(folder)
    path.mkdir()
    path.joinpath("spec.fac.yaml").write_text(SPEC.format(seed=seed, name=name, feedback=feedback, lr=lr))
    records = [
        EpochRecord(e, 4 * e, 0.1, 2 / e, 2 / e, 0.5, 2.0, 3.0, {"fc.error.cosine": 0.5}) for e in (1, 2)
    ]
    path.joinpath("metrics.jsonl").write_text("".join(f"{record.to_json()}\n" for record in records))
    return folder


def test_a_run_is_drawn(run: Run) -> None:
    for suffix, begin in (("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert run("plot", made(suffix), "-o", f"a.{suffix}") == (
            0,
            f"drew `a.{suffix}`: 3 panels of 1 run\n",
            "",
        )
        assert Path(f"a.{suffix}").read_bytes().startswith(begin)


def test_the_training_of_a_spec_is_drawn(run: Run, spec: Path) -> None:
    assert run("train", spec, "--backend", "reference", "--out", "r", "--set", "train.epochs=1")[0] == 0
    status, out, err = run("plot", "r", "-o", "a.svg", "--show", "*.error.cosine")
    assert (status, out, err) == (0, "drew `a.svg`: 1 panel of 1 run\n", "")


def labels(run: Run, *folders: str) -> tuple[str, str]:
    status, text, err = run("plot", *folders, "-o", "-", "--format", "svg")
    assert status == 0, err
    return text, err


@pytest.mark.parametrize(
    ("others", "called"),
    [
        (({"name": "a"}, {"name": "b"}), ("a", "b")),
        (({"lr": 0.1}, {"lr": 0.2}), ("update.lr 0.1", "update.lr 0.2")),
        (({"lr": 0.04043878009515104}, {"lr": 0.2}), ("update.lr 0.04", "update.lr 0.2")),
        (({"lr": 0.123456}, {"lr": 0.123489}), ("update.lr 0.12346", "update.lr 0.12349")),
        (
            ({"feedback": "{rule: bp}"}, {"feedback": "{rule: ldfa, rank: 4}"}),
            ("bp", "ldfa"),
        ),
        (
            ({"feedback": "{rule: ldfa, rank: 2}"}, {"feedback": "{rule: ldfa, rank: 4}"}),
            ("feedback.rank 2", "feedback.rank 4"),
        ),
        (
            ({"feedback": "{rule: bp}"}, {"feedback": "{routes: [{through: fc, matrix: {kind: random}}]}"}),
            ("bp", "no feedback.rule"),
        ),
    ],
)
def test_settings_are_called_by_what_tells_them_apart(
    run: Run, others: tuple[dict[str, object], ...], called: tuple[str, ...]
) -> None:
    folders = [made(f"r{i}{seed}", seed, **each) for i, each in enumerate(others) for seed in (0, 1)]  # type: ignore[arg-type]
    text, err = labels(run, *folders)
    assert all(f">{name}</text>" in text for name in called)
    assert "mean of 2 runs each" in text
    assert err == ""


def test_one_setting_is_called_by_its_name_and_a_folder_twice_is_one_run(run: Run) -> None:
    text, _ = labels(run, made("a", 1), made("b", 2), "./a")
    assert ">n</text>" in text
    assert "mean of 2 runs, and" in text


def test_a_run_without_a_spec_stands_by_itself(run: Run) -> None:
    Path(made("a"), "spec.fac.yaml").unlink()
    text, err = labels(run, "a", made("b"))
    assert all(f">{name}</text>" in text for name in "an")
    assert err == "`a`: without a spec that can be read it is no run of any other's setting\n"


def test_lines_that_are_no_records_are_said(run: Run) -> None:
    log = Path(made("a"), "metrics.jsonl")
    log.write_text(log.read_text() + '{"epoch": 3')
    assert run("plot", "a", "-o", "a.svg")[2] == "`a`: 1 line of its log is no record and is left out\n"


def test_what_is_no_run_is_said(run: Run) -> None:
    Path("empty").mkdir()
    made("runs-1")
    Path("runs").mkdir()
    Path("runs-1").rename("runs/x")
    Path("none").mkdir()
    Path("none/metrics.jsonl").write_text("")
    for name, told in (
        ("gone", "`gone` does not exist"),
        ("runs/x/metrics.jsonl", "`runs/x/metrics.jsonl` is a file: name the folder of a run"),
        ("empty", "`empty` holds no `metrics.jsonl`: name the folder of a run, as `fac train` makes it"),
        ("runs", "`runs` is no run, but holds some: name them, `runs/x`"),
        ("none", "`none/metrics.jsonl` holds no record of an epoch: the run has not come so far"),
    ):
        assert run("plot", name, "-o", "a.svg") == (2, "", f"fac: {told}\n")


def test_what_cannot_be_drawn_is_said(run: Run) -> None:
    made("a")
    assert "`*.cosin` is no name in these logs" in run("plot", "a", "-o", "a.svg", "--show", "*.cosin")[2]
    assert "end the name with one of `.svg`, `.png`, `.pdf`" in run("plot", "a", "-o", "a.dot")[2]
    assert "which is called as a spec is" in run("plot", "a", "-o", "a.fac.yaml", "--format", "svg")[2]
    assert not Path("a.svg").exists()


def test_numbers_of_any_size_are_drawn_or_said(run: Run) -> None:
    log = Path(made("a"), "metrics.jsonl")
    line = json.loads(log.read_text().splitlines()[0])
    extremes = [1e308, -1e308, 5e-324, 1e-300, 0, (1 << 63) - 1, None, 1.0]
    for i, value in enumerate(extremes):
        lines = [
            line | {"step": s, "train_loss": v, "lr": v}
            for s, v in ((0, value), (1, extremes[i - 1]), (2, 0.5))
        ]
        log.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
        assert run("plot", "a", "-o", "a.svg", "--show", "train_loss", "--show", "lr")[0] == 0, value
        assert "nan" not in Path("a.svg").read_text()


def test_no_framework_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made("a")
    code = (
        "import sys; sys.argv = ['fac', 'plot', 'a', '-o', 'a.svg']\n"
        "from fac.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    assert not {'torch', 'onnxruntime', 'vl_convert'} & sys.modules.keys()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("name", ["metrics.jsonl", "state.safetensors"])
def test_no_picture_replaces_what_a_run_keeps(run: Run, name: str) -> None:
    path = Path(made("r")) / name
    if name.startswith("state"):
        path.write_text("kept")
    before = path.read_bytes()
    status, _, err = run("plot", "r", "--format", "svg", "-o", f"r/{name}")
    assert (status, err) == (2, f"fac: `r/{name}` is what a training keeps: give another name\n")
    assert path.read_bytes() == before
