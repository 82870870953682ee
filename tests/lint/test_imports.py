"""A run with settings, a policy and ignores stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.lint.specs import CLEAN

HEAVY = ("torch", "onnx", "onnxruntime", "numpy", "networkx", "rich", "safetensors", "fac_torch", "asyncio")
PROGRAM = f"""
import sys
from fac.cli import main
sys.argv = ["fac", "check", "spec.fac.yaml"]
try:
    main()
finally:
    print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
SETTINGS = """\
ignore = ["FAC205"]
[constraints]
max_rank = 64
max_skip = 1
allowed_rules = ["bp"]
backward_macs_vs_backprop = { at_most = 1 }
peak_memory = { at_most = "1 GiB" }
"""


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    (tmp_path / "fac.toml").write_text(SETTINGS)
    (tmp_path / "spec.fac.yaml").write_text(f"# fac: ignore-file[FAC109, FAC301]\n{CLEAN}")
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path)
    assert ended.stdout == "no findings in 1 file\n[]\n", ended.stderr
