"""What importing and checking must not pull in: a framework, NumPy, or a backend."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "onnx",
    "onnxruntime",
    "jax",
    "numpy",
    "safetensors",
    "networkx",
    "http",
    "ssl",
    "xml",
    "fac_torch",
    "fac_reference",
)
FRAMEWORKS = ("torch", "onnx", "onnxruntime", "jax", "fac_torch")

SPEC = """{
    "fac": 1, "name": "demo", "input": {"shape": (5,)},
    "layers": ({"kind": "linear", "name": "fc1", "out": 4}, {"kind": "relu"}, {"kind": "linear", "out": 3}),
    "loss": {"kind": "cross_entropy"}, "feedback": {"rule": "ldfa", "rank": 2},
    "update": {"rule": "sgd", "lr": 0.1},
}"""

WATCH = """
import sys, traceback

class Watch:
    def find_spec(self, name, path=None, target=None):
        if "." not in name and name in {heavy!r}:
            print(name)
            traceback.print_stack(file=sys.stderr)

sys.meta_path.insert(0, Watch())
"""


def imported(code: str, watched: tuple[str, ...]) -> tuple[set[str], str]:
    """Which of the watched packages a fresh process imports, and the stacks that did it."""
    program = WATCH.format(heavy=watched) + code
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.split()), ended.stderr


LIGHT = {
    "import": "import fac",
    "command line": "import fac.cli",
    "spec": f"import fac; fac.load({SPEC})",
    "check": f"import fac; assert fac.check({SPEC}) == ()",
    "findings": f"import fac; assert fac.check({SPEC} | {{'loss': {{'kind': 'nonsense'}}}})",
    "lowering": f"from fac.pipeline import lowered; lowered({SPEC})",
}


@pytest.mark.parametrize("code", LIGHT.values(), ids=LIGHT)
def test_nothing_heavy_is_imported(code: str) -> None:
    found, stacks = imported(code, HEAVY)
    assert not found, stacks


BARE = {
    "reference backend": f"""
import fac
artifact = fac.compile({SPEC}, backend="reference")
artifact.open().step([[0.0] * 5], [1])
""",
    "list of backends": "from fac.pipeline import backends; assert len(backends()) >= 2",
}


@pytest.mark.parametrize("code", BARE.values(), ids=BARE)
def test_no_framework_is_imported(code: str) -> None:
    """Entry points may import a backend's package, which must not import its framework until it emits."""
    found, stacks = imported(code, FRAMEWORKS[:-1])
    assert not found, stacks


@pytest.mark.parametrize(
    ("code", "package"),
    [
        ("import numpy", "numpy"),
        (f"import fac; fac.compile({SPEC}, backend='torch').open(device='cpu')", "torch"),
        (f"import fac; fac.compile({SPEC}, backend='reference')", "numpy"),
    ],
)
def test_this_test_can_fail(code: str, package: str) -> None:
    """The watch sees what is imported, and says where."""
    found, stacks = imported(code, HEAVY)
    assert package in found
    assert "import" in stacks
