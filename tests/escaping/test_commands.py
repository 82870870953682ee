"""Hostile names of files, paths, options and metadata of checkpoints, in whatever each command prints of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fac.backend import to_bytes
from fac.cli import COMMANDS, main
from fac.training import checkpoint
from tests.cli.conftest import DIGITS
from tests.escaping.texts import PARTS, assert_calm, unseen

SEEN = [part for part in PARTS if not any("\ud800" <= c <= "\udfff" for c in part)]
HOSTILE = (
    "x\n::error::kilroy\x1b[2J\x1b[31m\x9b31m\x07\r\x7f\x85\u2028\u2029\u202e\u2066\u200b\ufeff"
    "[x](javascript:1) `|<b>]]>--"
)
"""As a name: without `/`, and short enough for a system."""
REFERENCE = ("--backend", "reference")
SWEPT = (*REFERENCE, "--set", "data.validation=0.1", "--no-audit", "--seeds", "1")

Printed = tuple[int, str, str]


@pytest.fixture
def printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Printed]:
    """`printed("check", HOSTILE)` -> exit status and output, in which no text is out of its place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CI", "true")

    def call(*arguments: str) -> Printed:
        monkeypatch.setattr(sys, "argv", ["fac", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert "internal error" not in err, err
        assert_calm(err.replace("\t", " "))
        if "github" in arguments:
            assert unseen(out) == ""
        else:
            assert_calm(out.replace("\t", " "))
        return int(end.value.code or 0), out, err

    return call


def spec(name: str = f"{HOSTILE}.fac.yaml", text: str = DIGITS) -> str:
    Path(name).write_text(text.replace("epochs: 2", "epochs: 1"), "utf-8")
    return name


def folder(name: str = HOSTILE) -> str:
    Path(name).mkdir(parents=True)
    return name


BAD = DIGITS.replace("kind: relu", "knid: relu")
OTHER = DIGITS.replace("ldfa, rank: 9", "fa")


def reading(**data: object) -> str:
    """A spec with other data."""
    return spec("z.fac.yaml", DIGITS.replace("{source: digits}", json.dumps(data)))


def study(measure: str = "Measured({})") -> str:
    """A study whose one row is that, in a folder."""
    name = f"./{folder(f'{HOSTILE}{len(measure)}')}"
    text = "from fac.studies import Measured, Row, Study, Table\n"
    text += (
        f"STUDY = Study('S', '', lambda short: [Table('T', [Row('r', lambda lab, seed: {measure})], [])])\n"
    )
    Path(name, "study.py").write_text(text, "utf-8")
    return name


def samples(name: str = "x") -> str:
    """An array of one sample for `DIGITS`."""
    np.savez("s.npz", **{name: np.zeros((1, 8, 8))})  # type: ignore[arg-type]  # numpy types names as its own options
    return "s.npz"


DONE: dict[str, Callable[[], list[tuple[str, ...]]]] = {
    "init": lambda: [
        ("init", f"{folder('new')}/{HOSTILE}.fac.yaml"),
        ("init", f"{HOSTILE}.yaml"),
        ("init", "--ci", folder()),
        ("init", "--ci", HOSTILE),
        ("init", "--ci", folder("other"), "--install", HOSTILE),
    ],
    "check": lambda: [
        *[
            ("check", spec(text=DIGITS.replace("kind: relu", "kind: rleu")), "--output-format", form)
            for form in ("full", "concise", "json", "github", "gitlab", "sarif", "junit")
        ],
        ("check", f"{HOSTILE}gone.fac.yaml"),
        ("check", f"{HOSTILE}gone.fac.yaml", "--json"),
        ("check", folder(HOSTILE[:20])),
        ("check", "--select", HOSTILE),
        ("check", "--config", HOSTILE),
        ("check", f"--{HOSTILE}"),
        ("check", "--output-format", HOSTILE),
        ("check", "--backend", HOSTILE, spec()),
        ("check", "--set", f"{HOSTILE}=1", spec()),
        ("check", "--set", f"update.rule={HOSTILE}", spec()),
        ("check", "--output-file", HOSTILE[:30], spec()),
        ("check", "--diff", spec(text=BAD)),
        ("check", "--fix", spec(text=BAD)),
        ("check", "--statistics", spec(text=BAD)),
    ],
    "rule": lambda: [("rule", HOSTILE)],
    "schema": lambda: [("schema", HOSTILE)],
    "show": lambda: [
        ("show", spec()),
        ("show", HOSTILE),
        ("show", spec(), "-o", f"{HOSTILE}.svg"),
        ("show", spec(), "-o", HOSTILE),
        ("show", spec(), "-o", "a", "--format", HOSTILE),
        ("show", spec(), "--after", HOSTILE),
        ("show", spec(text=DIGITS.replace("name: digits-small", "name: '[x](javascript:1) `|<b>]]>--'"))),
    ],
    "diff": lambda: [
        *[("diff", spec(), spec("b.fac.yaml", OTHER), "--output-format", form) for form in ("text", "json")],
        ("diff", spec("b.fac.yaml"), spec()),
        ("diff", "b.fac.yaml", spec("c.fac.yaml"), "--old-name", HOSTILE),
        ("diff", HOSTILE, "b.fac.yaml"),
        ("diff", spec(text="a: 1"), "b.fac.yaml"),
    ],
    "lock": lambda: [
        ("lock", spec(), "-o", "a.lock"),
        ("check", "--locked", "--lock", "a.lock", spec("b.fac.yaml", OTHER)),
        ("lock", spec(), spec("b.fac.yaml"), "-o", "a.lock"),
        ("lock", HOSTILE),
        ("lock", spec(), "-o", HOSTILE),
        ("check", "--locked", "--lock", HOSTILE, spec()),
        ("check", "--locked", "--lock", spec("c", f"lock: 1\nexperiments: {{a: {{file: b, '{HOSTILE}': 1}}}}"), spec()),
    ],
    "data": lambda: [
        ("data", spec(), "-o", HOSTILE),
        ("data", spec(), "-o", spec("file")),
        ("data", reading(source="arrays", train=HOSTILE, test=HOSTILE), "-o", "d"),
        ("data", reading(source="text", path=HOSTILE, length=8), "-o", "d"),
    ],
    "compile": lambda: [
        ("compile", spec(), *REFERENCE, "-o", HOSTILE),
        ("compile", spec(), "--backend", HOSTILE),
        ("compile", spec(), *REFERENCE, "-o", spec("file")),
    ],
    "train": lambda: [
        ("train", spec(), *REFERENCE, "--out", HOSTILE),
        ("train", spec(), *REFERENCE, "--out", HOSTILE),
        ("train", "--resume", HOSTILE),
        ("train", "--resume", HOSTILE, "--json"),
        ("train", "--resume", f"{HOSTILE}gone"),
        ("train", spec(), "--device", HOSTILE, *REFERENCE),
        ("train", spec(), *REFERENCE, "--set", "update.lr=1e30", "--out", f"{HOSTILE}2"),
        ("train", spec(), HOSTILE),
    ],
    "plot": lambda: [
        ("plot", HOSTILE, "-o", "a.svg"),
        ("plot", "run", "-o", HOSTILE),
        ("plot", "run", "-o", f"{HOSTILE}.svg"),
        ("plot", "run", "-o", "a.svg", "--show", HOSTILE),
        ("plot", "run", "-o", "a.svg", "--format", HOSTILE),
    ],
    "report": lambda: [
        ("report", HOSTILE, "-o", "a.html"),
        ("report", "run", "-o", HOSTILE),
        ("report", "run", HOSTILE, "-o", f"{HOSTILE}.html", "--title", HOSTILE),
        ("report", "run", folder(), "-o", f"{HOSTILE}.yaml"),
        ("report", "run", "-o", "a.html", "--backend", HOSTILE),
    ],
    "import": lambda: [
        ("import", HOSTILE, "a:b", "--input", "3", "-o", "made"),
        ("import", "torch", HOSTILE, "--input", "3", "-o", "made"),
        ("import", "onnx", HOSTILE),
        ("import", "onnx", spec(), "--name", HOSTILE),
        ("import", "torch", f"json:{HOSTILE}", "--input", "3", "-o", "made"),
        ("import", "torch", "json:loads", "--input", HOSTILE, "-o", "made"),
        ("import", "torch", "json:loads", "--input", "3", "--arg", f"s={HOSTILE}", "-o", HOSTILE),
    ],
    "evaluate": lambda: [
        ("evaluate", HOSTILE),
        ("evaluate", "run", "--data", HOSTILE),
        ("evaluate", "run", "--data", spec()),
        ("evaluate", "run", "--backend", HOSTILE),
    ],
    "predict": lambda: [
        ("predict", HOSTILE, HOSTILE, "-o", "a.npz"),
        ("predict", "run", samples(), "-o", HOSTILE),
        ("predict", "run", samples(), "-o", f"{HOSTILE}.npz"),
        ("predict", "run", samples(HOSTILE), "-o", "a.csv"),
    ],
    "export": lambda: [
        ("export", HOSTILE, "-o", f"{HOSTILE}.onnx"),
        ("export", "run", "-o", f"{HOSTILE}.onnx"),
        ("export", "run", "-o", HOSTILE),
        ("export", "run", "-o", "a.onnx", "--base", HOSTILE),
    ],
    "sample": lambda: [("sample", HOSTILE), ("sample", "run"), ("sample", spec())],
    "compare": lambda: [
        ("compare", spec(), *REFERENCE, "--rules", "bp"),
        ("compare", spec(), spec("b.fac.yaml", DIGITS.replace("name: digits-small", "name: b")), *REFERENCE),
        ("compare", spec(), "--rules", f"bp,bp,{HOSTILE}"),
        ("compare", spec(), "--rules", f"fa {HOSTILE}"),
        ("compare", spec(), "--rules", f"fa scale={HOSTILE}"),
        ("compare", spec(), *REFERENCE, "--rules", "bp,fa", "--set", "update.lr=1e30"),
        ("compare", spec(), *REFERENCE, "--rules", "bp", "--seeds", "1", "--out", HOSTILE),
        ("compare", spec(), *REFERENCE, "--rules", "fa", "--seeds", "1", "--out", HOSTILE),
        ("compare", spec(), "--contrast", f"bp:{HOSTILE}"),
        ("compare", spec(), "--rate", f"{HOSTILE}=1"),
        ("compare", spec("c.yaml", f"compare: 1\nspecs: [{json.dumps(HOSTILE)}]\n")),
    ],
    "sweep": lambda: [
        ("sweep", HOSTILE, "--over", "update.lr=0.1,0.2"),
        ("sweep", spec(), "--over", f"update.lr={HOSTILE}"),
        ("sweep", spec(), "--over", f"{HOSTILE}=1,2"),
        ("sweep", spec(), "--over", HOSTILE),
        ("sweep", spec(), *SWEPT, "--over", "update.lr=0.05,1e30", "--rules", "bp", "--out", HOSTILE),
        ("sweep", spec(), *SWEPT, "--over", "update.lr=0.05,1e29", "--rules", "bp", "--out", HOSTILE),
        ("sweep", spec(), *SWEPT, "--over", f"name={HOSTILE!r},b", "--rules", "bp", "--out", "o"),
    ],
    "study": lambda: [
        ("study", HOSTILE),
        ("study", f"./{HOSTILE}"),
        ("study", study(), *REFERENCE, "--out", HOSTILE),
        ("study", study(f"open({HOSTILE!r})"), *REFERENCE, "--out", "o"),
        ("study", study("Measured(0)"), *REFERENCE, "--out", spec("file")),
    ],
    "bench": lambda: [
        ("bench", HOSTILE),
        ("bench", "mlp-64", "--rules", HOSTILE),
        ("bench", "mlp-64", "--out", HOSTILE),
        ("bench", "--compare", HOSTILE, HOSTILE),
        ("bench", "--compare", spec("file"), HOSTILE),
    ],
    "backends": lambda: [("backends", HOSTILE)],
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_names_of_files_and_options(command: str, printed: Callable[..., Printed]) -> None:
    if command in ("export", "sample", "plot", "report", "evaluate", "predict"):
        assert printed("train", spec("a.fac.yaml"), *REFERENCE, "--out", "run")[0] == 0
    for line in DONE[command]():
        printed(*line)


@pytest.mark.parametrize("text", [HOSTILE, *("".join(SEEN[i::6]) for i in range(6))], ids=range(7))
def test_metadata_of_a_checkpoint(text: str, printed: Callable[..., Printed]) -> None:
    """Each of its texts, told on resume, export and sampling. The digest is right: whoever wrote it can do that."""
    assert printed("train", spec("a.fac.yaml"), *REFERENCE, "--out", "run")[0] == 0
    place = Path("run/state.safetensors")
    found = checkpoint.load(place)
    keys = [key for key in found.about if key not in ("spec", "fac_checkpoint", "digest")]
    for changed in (keys, *([key] for key in (keys if text == HOSTILE else ()))):
        about = {**found.about, **dict.fromkeys(changed, text)}
        place.write_bytes(to_bytes(found.state, about))
        printed("train", "--resume", "run")
    printed("export", "run", "-o", "a.onnx")
    printed("sample", "run")


@pytest.mark.parametrize("known", [True, False])
def test_plugins_that_a_checkpoint_names(known: bool, printed: Callable[..., Printed]) -> None:
    """They are words of a message, and no file of that name is run, wherever it lies."""
    assert printed("train", spec("a.fac.yaml"), *REFERENCE, "--out", "run")[0] == 0
    for file in ("mine.py", "run/mine.py"):
        Path(file).write_text("open('ran', 'w').close()\n")
    place = Path("run/state.safetensors")
    found = checkpoint.load(place)
    kept = found.about["spec"] if known else found.about["spec"].replace('"relu"', '"unknown"')
    names = {f"{i:064x}": name for i, name in enumerate((HOSTILE, *SEEN, "mine.py"))}
    place.write_bytes(to_bytes(found.state, {**found.about, "spec": kept, "plugins": json.dumps(names)}))
    for command in (("export", "run", "-o", "a.onnx"), ("evaluate", "run"), ("train", "--resume", "run")):
        status, _, err = printed(*command)
        assert status == (0 if known else 2), err
        assert "was trained with" in err
    assert not Path("ran").exists()
    for wrong in ("[]", '{"x": "mine.py"}', json.dumps({"0" * 64: 1}), "{"):
        place.write_bytes(to_bytes(found.state, {**found.about, "plugins": wrong}))
        status, _, err = printed("evaluate", "run")
        assert status == 2
        assert "its metadata have a `plugins` that no run wrote" in err
