"""Networks of every kind of layer, written as ONNX by the backend and read again, compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fac import FacError
from fac.importing import from_onnx
from fac.pipeline import compile
from fac.testing.layers import LAYERS, MASKED, SHAPES, WHOLE, network

LOST = frozenset({"embedding", "one_hot", "zeros", "rnn", "gru"})
"""What the file says in operations that are no layer: a row that is masked, numbers that are compared, tokens that are
one number for all samples."""


@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {*MASKED}))
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    spec, classes = network(name), WHOLE.get(name)
    artifact = compile(spec, "onnx", "float32")
    artifact.write(tmp_path)
    if name in LOST:
        with pytest.raises(FacError):
            from_onnx(tmp_path / "forward.onnx", classes=classes)
        return
    found = from_onnx(tmp_path / "forward.onnx", classes=classes)
    rng, shape = np.random.default_rng(0), (3, *SHAPES.get(name, (5,)))
    x = rng.standard_normal(shape) if classes is None else rng.integers(classes, size=shape)
    ours = compile(found.spec, "reference", "float64").open(found.state, derive=True).forward(x)
    theirs = artifact.open().forward(x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())
