"""What a step allocates is memory of the one before: the system is asked for none."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.forked import python

CODE = """
import resource
import fac
from fac.testing.nets import RELU, batch, conv2d, linear, spec

pool = {"kind": "max_pool2d", "kernel": 2}
maps = [part for name in ("c1", "c2") for part in (conv2d(name, 16, 3, padding=1), RELU, pool)]
data = spec((*maps, {"kind": "flatten"}, linear("out", 3)), shape=(1, 28, 28))
session = fac.compile(data, "torch").open(device="cpu")
given = batch(128, (1, 28, 28))
for _ in range(3):
    session.step(*given)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    session.step(*given)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
MAP = 128 * 16 * 28 * 28 * 4 // 4096
"""Pages of a map, of which torch allocates some in a step."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told so")
def test_steps_take_no_memory_from_the_system(tmp_path: Path) -> None:
    """As they do where the environment says that glibc is to go on as it does by itself."""
    made, other = (
        python(tmp_path, "-c", CODE, OMP_NUM_THREADS="1", **environment)
        for environment in ({}, {"MALLOC_ARENA_MAX": "1"})
    )
    assert int(made.stdout) < MAP < int(other.stdout) / 5
