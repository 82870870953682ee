"""The examples of `docs/checking.md` are what a run prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fac.cli.check import COMMAND
from fac.diagnostics import FacError
from fac.lint.settings import load
from fac.spec.constraints import Constraints

PAGE = (Path(__file__).parents[2] / "docs/checking.md").read_text()
SPEC = """\
fac: 1
name: fashion
input: {shape: [784]}
layers:
  - {kind: linear, name: fc1, out: 512}
  - {kind: relu}
  - {kind: linear, name: fc2, out: 512}
  - {kind: relu}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
feedback: {rule: ldfa, rank: 10}
"""


def block(beginning: str) -> str:
    """The example that begins so."""
    (found,) = [b for b in re.findall(r"```\w*\n(.*?)```", PAGE, re.DOTALL) if b.startswith(beginning)]
    return str(found)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "team").mkdir()
    (tmp_path / "team/policy.toml").write_text(block("# team/policy.toml"))
    (tmp_path / "fac.toml").write_text(block("# fac.toml of a repository"))
    (tmp_path / "fashion.fac.yaml").write_text(SPEC)
    return tmp_path


def check(*arguments: str) -> Result:
    return CliRunner().invoke(COMMAND, arguments)


def test_settings(root: Path) -> None:
    (root / "fac.toml").write_text(block("# fac.toml; in"))
    settings = load("fac.toml", ".")
    assert settings.policy.constraints.max_rank == 16


def test_policy(root: Path) -> None:
    assert load("team/policy.toml", ".").policy.constraints.model_fields_set == set(Constraints.model_fields)
    shown = block("$ fac check fashion")
    assert check("fashion.fac.yaml", "--select", "FAC351").stdout == shown.partition("\n")[2]


def test_messages(root: Path) -> None:
    (root / "fac.toml").write_text(block("# fac.toml of a repository").replace("= 9", "= 32"))
    with pytest.raises(FacError) as caught:
        load("fac.toml", ".")
    assert f"fac: {caught.value}\n" == block("fac: `fac.toml`: `constraints")
    (root / "fac.toml").write_text("selct = []\n")
    with pytest.raises(FacError) as caught:
        load("fac.toml", ".")
    assert f"fac: {caught.value}\n" == block("fac: `fac.toml`: `selct")


def test_mending(root: Path) -> None:
    """The patch is the one that is shown, and `--fix` does the same."""
    shown = block("$ fac check --diff").partition("\n")[2]
    patch, note = shown[: shown.index("fac: ")], shown[shown.index("fac: ") :]
    lines = patch.splitlines()[3:]
    spec = root / "spec.fac.yaml"
    spec.write_text("fac: 1\n" + "".join(f"{line[1:]}\n" for line in lines if line[0] != "+"))
    result = check("--diff", "--isolated", spec.name)
    assert (result.exit_code, result.stdout, result.stderr) == (1, patch, note)
    mended = "fac: 1\n" + "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
    assert check("--fix", "--isolated", spec.name).exit_code == 0
    assert spec.read_text() == mended


def test_comments(root: Path) -> None:
    (root / "example.fac.yaml").write_text(block("fac: 1\n"))
    result = check("example.fac.yaml", "--isolated", "--output-format", "concise")
    assert result.stdout == (
        "example.fac.yaml:6:3: FAC109 there is no finding of `FAC301` on line 7 to ignore\n"
        "1 warning in 1 file, 2 ignored\n"
    )
