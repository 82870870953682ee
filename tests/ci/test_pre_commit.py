"""`.pre-commit-hooks.yaml`, with pre-commit itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.ci import specs
from tests.ci.conftest import call, committed

CONFIG = """\
repos:
  - repo: {clone}
    rev: {revision}
    hooks:
      - id: fac-check
"""


def pre_commit(folder: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run pre-commit in a repository: its exit status and what it printed."""
    command = [sys.executable, "-m", "pre_commit", *arguments]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def installed(environment: dict[str, str]) -> set[str]:
    """The packages in all environments of hooks."""
    home = Path(environment["PRE_COMMIT_HOME"])
    return {path.name for path in home.glob("*/py_env-*/lib/python*/site-packages/*")}


def test_the_hook(clone: Path, offline: dict[str, str], tmp_path: Path) -> None:
    specs.write(tmp_path / "specs")
    (tmp_path / "other.yaml").write_text("not: [ours\n")
    revision = call("git", "rev-parse", "HEAD", cwd=clone, env=offline).strip()
    (tmp_path / ".pre-commit-config.yaml").write_text(CONFIG.format(clone=clone, revision=revision))
    committed(tmp_path)
    status, out = pre_commit(tmp_path, offline, "run", "--all-files", "--verbose")
    assert status == 1, out
    assert f"specs/broken.fac.yaml:{specs.PLACE}\n" in out
    assert f"error[FAC201]: {specs.MESSAGE}\n" in out
    assert "1 error in 4 files" in out  # one report, and of specs only
    packages = installed(offline)
    assert {"fac", "click", "pydantic"} <= packages
    assert not {"torch", "onnx", "onnxruntime"} & packages

    specs.mend(tmp_path / "specs")
    committed(tmp_path)
    status, out = pre_commit(tmp_path, offline, "run", "--all-files", "--verbose")
    assert (status, "no findings in 4 files" in out) == (0, True), out
