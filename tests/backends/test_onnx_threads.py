"""`OMP_NUM_THREADS` holds for sessions of onnxruntime too."""

from __future__ import annotations

import pytest

from fac.pipeline import compile
from fac.testing.nets import mlp, spec
from fac_onnx.session import OnnxSession

DATA = spec(mlp(6, 3))


@pytest.mark.parametrize(
    ("variable", "threads"),
    [("1", 1), ("3", 3), (None, 0), ("0", 0), ("-1", 0), ("4,2", 0), ("all", 0), ("", 0)],
)
def test_one_variable_sets_the_threads(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, threads: int
) -> None:
    """A positive number is taken; anything else leaves the choice to onnxruntime, which calls it 0."""
    if variable is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    session = compile(DATA, backend="onnx").open(device="cpu")
    assert isinstance(session, OnnxSession)
    assert [r.get_session_options().intra_op_num_threads for r in session.runners.values()] == [threads]
