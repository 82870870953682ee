"""The garbage collector is put back as it was, whatever happens inside."""

from __future__ import annotations

import gc

import pytest

import fac
from fac.step.collecting import uncollected
from fac.testing.nets import mlp, spec


@pytest.mark.parametrize("collects", [True, False])
def test_it_is_as_it_was_afterwards(collects: bool) -> None:
    """Nested, by a decorator, and behind an exception."""
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        with pytest.raises(ZeroDivisionError), uncollected(), uncollected():
            1 / int(gc.isenabled())
        assert gc.isenabled() is collects
        assert uncollected()(gc.isenabled)() is False
        assert gc.isenabled() is collects
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_compilation_leaves_it_alone(backend: str) -> None:
    """Of a spec that compiles, and of one that does not."""
    session = fac.compile(spec(mlp(4, 3)), backend).open()
    assert gc.isenabled()
    with pytest.raises(fac.SpecError):
        fac.compile(spec(mlp(4, 3), {"rule": "ldfa", "rank": 0}), backend)
    assert gc.isenabled()
    session.state()
