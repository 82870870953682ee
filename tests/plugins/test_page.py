"""The plug-in of CONTRIBUTING.md, as a reader would install it: checked, held to what it declares, and trained."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from fac import plugin
from fac.testing.nets import linear, spec
from tests.forked import python

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


WEIGHTS = """
import json
import numpy as np
import my_weights
from fac import pipeline
from fac.build.transport import transport
from fac.testing import check_declarations

check_declarations(my_weights.KINDS[0], my_weights.Levelled(out=4))
check_declarations(my_weights.KINDS[1], my_weights.Gated(out=4))
data = json.load(open("net.fac.json"))
assert transport(pipeline.lowered(data)).exact == ()
rng = np.random.default_rng(0)
x, y = rng.standard_normal((7, 5)), rng.integers(0, 3, 7)
routed = pipeline.compile(data, "reference", "float64").open()
start = routed.state()
sent = {n: start[n.replace("feedback.B", "weight")] for n in start if n.endswith("feedback.B")}
assert sorted(sent) == ["g.gate.feedback.B", "g.value.feedback.B", "out.feedback.B"]
routed.load_state(start | sent)
exact = pipeline.compile({**data, "feedback": {"rule": "bp"}}, "reference", "float64").open()
exact.load_state({name: start[name] for name in exact.state()})
z = (x @ start["fc1.weight"].T + start["fc1.bias"]) @ start["g.value.weight"].T
for session in (routed, exact):
    session.step(x, y)
found = routed.state()
worst = max(np.abs(found[name] - array).max() for name, array in exact.state().items())
print(max(worst, np.abs(found["g.value.square"] - (0.9 + 0.1 * (z * z).mean(0))).max()))
"""


def test_the_layer_of_the_page(tmp_path: Path) -> None:
    """A step of plain SGD at rate 1 is the gradient; differences of the loss say whether it is the true one."""
    layers = (linear("fc1", 6), {"kind": "hard_swish"}, linear("out", 3))
    assert ran(tmp_path, "my_layers", CODE, spec(layers)) < 1e-8


def test_the_weights_of_the_page(tmp_path: Path) -> None:
    """Feedback goes through every weight, and W in its place is backpropagation; what is moved, is by the formula."""
    layers = (linear("fc1", 6), {"kind": "gated", "name": "g", "out": 4}, linear("out", 3))
    assert ran(tmp_path, "my_weights", WEIGHTS, spec(layers, {"rule": "fa"})) < 1e-12


def ran(tmp_path: Path, name: str, code: str, data: dict[str, Any]) -> float:
    """What the code prints where a module of the page is installed, and `net.fac.json` is data without findings."""
    (module,) = re.findall(rf"```python\n(\"\"\"{name}\.py.*?)```", PAGE, re.DOTALL)
    (point,) = re.findall(r'```toml\n\[project\.entry-points\."(.*?)"\]\n(.*?) = "(.*?)"\n```', PAGE)
    (tmp_path / f"{name}.py").write_text(module, "utf-8")
    about = tmp_path / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[{point[0]}]\n{point[1]} = {point[2].replace('my_layers', name)}\n"
    )
    (tmp_path / "net.fac.json").write_text(json.dumps(data))
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    for command in (["-m", "fac", "check", "net.fac.json"], ["-c", code]):
        ended = python(tmp_path, *command, PYTHONPATH=path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return float(ended.stdout)


def test_what_there_is_to_write_with_can_be_imported() -> None:
    """From the one module that plug-ins need."""
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text("utf-8")
    section = page.partition("## What there is to write with")[2]
    named = set(re.findall(r"`([A-Z][a-z]\w*)`", section))
    assert {"Normal", "Tensor"} <= named
    assert named <= set(plugin.__all__)
