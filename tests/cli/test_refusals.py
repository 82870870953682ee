"""What the system refuses is one message with a remedy: it is no finding, and no mistake of `fac`."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fac import source
from fac.cli.refusals import refusal

Run = Callable[..., tuple[int, str, str]]
LONG = "x" * 300
ENDLESS = "/".join(["y" * 200] * 30)


@pytest.mark.parametrize("name", [LONG, ENDLESS], ids=["long", "endless"])
@pytest.mark.parametrize(
    "command",
    [
        "check {}",
        "check {}.fac.yaml",
        "check {spec} --config {}",
        "check {spec} --output-file {}",
        "show {}",
        "show {spec} -o {}.svg",
        "diff {spec} {}",
        "compile {}",
        "compile {spec} --backend reference -o {}",
        "compile {spec} --backend reference -o {}/a",
        "data {spec} -o {}",
        "train {}",
        "train {spec} --backend reference --out {}",
        "train --resume {}",
        "export {} -o a.onnx",
        "sample {}",
        "compare {}",
        "init {}",
        "init {}.fac.yaml",
        "init --ci {}",
    ],
)
def test_a_name_that_is_too_long(command: str, name: str, run: Run, spec: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    status, _, err = run(*(word.format(name, spec=spec.name) for word in command.split()))
    assert status == 2
    assert "file name too long" in err or "does not exist" in err or "there is no" in err, err
    assert "internal error" not in err
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "data",
    [
        "source: arrays, train: PATH, test: a.npz",
        "source: sequences, train: PATH, test: a.ts",
        "source: text, path: PATH, length: 3",
        "source: fashion_mnist, root: PATH",
    ],
)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("~nosuchuser/a", "there is no user `nosuchuser`: write the whole path"),
        (LONG, "file name too long|no `train-images"),
        ('"a\\0b"', "embedded null byte|no `train-images"),
        ('"\\uD800"', "FAC108"),
    ],
)
def test_a_path_in_a_spec_that_leads_nowhere(data: str, path: str, said: str, run: Run, spec: Path) -> None:
    text = spec.read_text().replace("source: digits", data.replace("PATH", path))
    if "text" in data:
        text = text.replace("shape: [8, 8]", "shape: [3], classes: 256")
    spec.write_text(text)
    status, _, err = run("train", spec, "--backend", "reference")
    assert status in (1, 2)
    assert any(words in err for words in (*said.split("|"), "error[")), err
    assert "internal error" not in err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, "Too Many", "a"), "`a` cannot be used: too many: raise `ulimit -n`"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "the system refuses what a command needs: input/output error"),
        (MemoryError("of 1 EiB"), "memory ran out: of 1 EiB; `fac show SPEC --cost` says what a step takes: "),
        (ImportError("x.so: failed to map segment from shared object"), "memory ran out: x.so: failed to map segment"),
        (RuntimeError("can't start new thread"), "no thread can be started: raise `ulimit -u`, or set "),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_system_refuses_is_no_internal_error(
    error: Exception, said: str, run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(source, "read", refuse)
    status, out, err = run("show", spec)
    assert (status, out) == (2, "")
    assert err.startswith(f"fac: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), ImportError("no x"), RuntimeError("x"), OSError("x")]
)
def test_a_mistake_of_ours_is_not_laid_on_the_system(error: Exception) -> None:
    assert refusal(error) is None


LIMITED = """
import os, resource, sys
kind, most = getattr(resource, sys.argv[1]), int(sys.argv[2])
resource.setrlimit(kind, (most, most))
os.execv(sys.executable, [sys.executable, "-m", "fac", *sys.argv[3:]])
"""


@pytest.mark.parametrize(
    ("limit", "most", "backend", "said"),
    [
        ("RLIMIT_NOFILE", 5, "reference", r"too many open files: raise `ulimit -n`$"),
        ("RLIMIT_AS", 300_000_000, "torch", r"^fac: memory ran out: .*use narrower layers"),
    ],
)
def test_a_system_without_descriptors_or_memory(
    limit: str, most: int, backend: str, said: str, spec: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", LIMITED, limit, str(most), "train", spec.name, "--backend", backend]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert re.search(said, ended.stderr.strip()), ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["check", "check {spec}", "init", "data {spec} -o d", "train {spec} --out run"]
)
def test_a_working_directory_that_is_gone(command: str, run: Run, spec: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    status, _, err = run(*command.format(spec=spec).split())
    assert status == 2
    assert err.endswith(
        "no such file or directory; the working directory is gone: change into one that is there\n"
    ), err
    assert err.count("\n") == 1


def test_a_spec_with_a_long_name_has_a_folder_with_a_shorter_one(run: Run, spec: Path) -> None:
    name = "\U00010480" * 300  # a letter of four bytes
    status, out, err = run(
        "train", spec, "--set", f"name={name}", "--set", "train.epochs=1", "--backend", "reference"
    )
    assert (status, err) == (0, "")
    assert out.endswith(f"are in `runs/{name[:60]}-1`\n")


def test_what_was_meant_on_the_command_line(run: Run, spec: Path) -> None:
    for arguments, said in (
        (("trian",), "No such command 'trian'. Did you mean 'train'?"),
        (("train", spec, "--epochs", "3"), "The spec says it: write `--set train.epochs=...`."),
        (("train", spec, "--rule", "bp"), "The spec says it: write `--set feedback.rule=...`."),
    ):
        status, out, err = run(*arguments)
        assert (status, out, said in err) == (2, "", True), err
    Path("c").mkdir()
    Path("c/plan.json").write_text("{}")
    assert "`c` is a comparison: name one of its runs, the folders in `c/runs`" in run("evaluate", "c")[2]
