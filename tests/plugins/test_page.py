"""The plug-in of CONTRIBUTING.md, as a reader would install it: checked, held to what it declares, and trained."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from fac.testing.nets import linear, spec

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
CODE = """
import json, sys
import numpy as np
import my_layers
from fac import pipeline
from fac.testing import check_declarations

check_declarations(my_layers.KINDS[0])
data = json.load(open("net.fac.json"))
session = pipeline.compile(data, "reference", "float64").open()
rng = np.random.default_rng(0)
x, y = rng.standard_normal((7, 5)), rng.integers(0, 3, 7)


def loss(name, shift):
    other = pipeline.compile(data, "reference", "float64").open(state | {name: state[name] + shift})
    return other.evaluate(x, y)["loss"]


state = session.state()
session.step(x, y, 1.0)
worst = 0.0
for name in ("fc1.weight", "out.weight"):
    direction = rng.standard_normal(state[name].shape)
    slope = (loss(name, 1e-5 * direction) - loss(name, -1e-5 * direction)) / 2e-5
    worst = max(worst, abs(slope - np.sum((state[name] - session.state()[name]) * direction)))
print(worst)
"""


def test_the_layer_of_the_page(tmp_path: Path) -> None:
    """A step of plain SGD at rate 1 is the gradient; differences of the loss say whether it is the true one."""
    (code,) = re.findall(r"```python\n(\"\"\"my_layers\.py.*?)```", PAGE, re.DOTALL)
    (point,) = re.findall(r'```toml\n\[project\.entry-points\."(.*?)"\]\n(.*?) = "(.*?)"\n```', PAGE)
    (tmp_path / "my_layers.py").write_text(code, "utf-8")
    about = tmp_path / "my_layers-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-layers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{point[0]}]\n{point[1]} = {point[2]}\n")
    layers = (linear("fc1", 6), {"kind": "hard_swish"}, linear("out", 3))
    (tmp_path / "net.fac.json").write_text(json.dumps(spec(layers)))
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    for command in (["-m", "fac", "check", "net.fac.json"], ["-c", CODE]):
        ended = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert np.float64(ended.stdout) < 1e-8
