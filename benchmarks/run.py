"""All benchmarks, one after the other, each in a process of its own: `make bench`. About an hour, most of it accuracy.

Run it on an idle machine. Every figure goes to `results/` beside this file, and as a Markdown table to the terminal.
"""

from __future__ import annotations

import os
import subprocess
import sys

ORDER = (
    "check_speed",
    "compile_time",
    "trainer",
    "orthogonal",
    "onnx_step",
    "accuracy",
    "finetune_accuracy",
)
"""Those that measure time first: they want the machine cool and idle."""


def main() -> None:
    """Run them; the first that fails ends it."""
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in ORDER:
        print(f"\n## {name}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env=one_thread, check=True)


if __name__ == "__main__":
    main()
