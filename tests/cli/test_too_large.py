"""A spec that stands for more than can be written out is told with its place by every command that reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SPEC = """\
fac: 1
name: deep
input: {shape: [8]}
layers:
  - {kind: repeat, times: 10000, body: [{kind: relu}, {kind: relu}, {kind: relu}]}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.05}
"""
COMMANDS = {
    "check": ("check", "net.fac.yaml"),
    "show": ("show", "net.fac.yaml"),
    "picture": ("show", "net.fac.yaml", "-o", "net.svg"),
    "compile": ("compile", "net.fac.yaml", "--backend", "onnx", "-o", "out"),
    "compare": ("compare", "net.fac.yaml", "--rules", "bp,fa"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_the_place(
    command: str, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "net.fac.yaml").write_text(SPEC)
    status, out, err = run(*COMMANDS[command])
    assert status in (1, 2)
    assert "error[FAC111]: with this `repeat` the blocks stand for 30,000 layers" in out + err
    assert "net.fac.yaml:5:27" in out + err
    assert "Traceback" not in err
    assert not (tmp_path / "net.svg").exists()


def test_no_picture_of_it_stands_in_a_step_summary(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.fac.yaml").write_text(SPEC)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert run("check", "net.fac.yaml", "--output-format", "github")[0] == 1
    summary = (tmp_path / "summary.md").read_text()
    assert "FAC111" in summary
    assert "mermaid" not in summary
