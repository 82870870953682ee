"""`fac check` imports neither a framework nor NumPy, so that it answers at once wherever it is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BANNED = ("numpy", "torch", "onnx", "onnxruntime", "scipy", "safetensors")
FOLDER = Path(__file__).parent


def imported(code: str) -> set[str]:
    """Which of the banned packages a Python process has imported after running `code`."""
    end = f"import sys; print([name for name in {BANNED} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{end}"], capture_output=True, text=True, check=True)
    return set(BANNED) & set(run.stdout.splitlines()[-1].replace("'", " ").replace(",", " ").split())


def checking(*files: Path) -> str:
    arguments = [str(file) for file in files]
    return f"from fac.cli.check import COMMAND\ntry: COMMAND({arguments})\nexcept SystemExit: pass"


@pytest.mark.parametrize("name", ["bad.yaml", "good.yaml"])
def test_check_imports_no_framework(name: str) -> None:
    # FAC210 needs a plug-in that is not installed here.
    files = [f / name for f in sorted(FOLDER.iterdir()) if (f / name).is_file() and not (f / "site").exists()]
    assert len(files) > 20
    assert imported(checking(*files)) == set()


def test_this_test_can_fail() -> None:
    assert imported("import numpy") == {"numpy"}
