"""State that a plug-in layer moves in the forward pass: by its equations, on all backends, and kept with a run."""

from __future__ import annotations

from pathlib import Path

from tests.forked import python

HERE = Path(__file__).parent
SCRIPT = """
import sys
import numpy as np
from fac import plugin

running = plugin.load(sys.argv[1])
import fac
from fac.testing import check_kind

check_kind(running.KINDS[0])
spec = {
    "fac": 1, "name": "running", "input": {"shape": [5]},
    "layers": (
        {"kind": "linear", "name": "fc1", "out": 4},
        {"kind": "running", "name": "norm", "momentum": 0.25},
        {"kind": "linear", "name": "out", "out": 3},
    ),
    "loss": {"kind": "cross_entropy"}, "feedback": {"rule": "fa"}, "update": {"rule": "sgd", "lr": 0.5},
}
rng = np.random.default_rng(0)
for backend in ("reference", "torch", "onnx"):
    session = fac.compile(spec, backend, "float64").open()
    mean, variance = np.zeros(4), np.ones(4)
    for n in (7, 5, 9):
        x, y = rng.standard_normal((n, 5)), rng.integers(0, 3, n)
        old = session.state()
        h = x @ old["fc1.weight"].T + old["fc1.bias"]
        session.step(x, y)
        mean, variance = 0.75 * mean + 0.25 * h.mean(0), 0.75 * variance + 0.25 * h.var(0)
        new = session.state()
        np.testing.assert_allclose(new["norm.mean"], mean, atol=1e-12)
        np.testing.assert_allclose(new["norm.variance"], variance, atol=1e-12)
    h = x @ new["fc1.weight"].T + new["fc1.bias"]
    z = (h - mean) / np.sqrt(variance + 1e-3) @ new["out.weight"].T + new["out.bias"]
    np.testing.assert_allclose(session.forward(x), z, atol=1e-12)
    print(backend)
"""


def test_moments_run_with_the_data() -> None:
    ended = python(HERE, "-c", SCRIPT, str(HERE / "running.py"))
    assert (ended.stderr, ended.stdout.split()) == ("", ["reference", "torch", "onnx"])
