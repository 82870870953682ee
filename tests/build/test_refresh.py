"""What happens between steps on the host: feedback set anew from the SVD of the weight, on every backend."""

from __future__ import annotations

import builtins
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fac.build.initial import svd_pair
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.nets import batch, mlp, spec

compile_source = builtins.compile
X, Y = batch()
NORMATIVE = {"rule": "ldfa", "rank": 2, "learn": "normative", "refresh": 3}


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_refresh_sets_the_svd(backend: str) -> None:
    session = compile(spec(mlp(4, 4, 3), NORMATIVE), backend=backend, precision="float64").open(device="cpu")
    distances = []
    for _ in range(6):
        session.step(X, Y)
        state = session.state()
        p, q = svd_pair(state["fc2.weight"], 2)
        distances.append(
            float(np.abs(state["fc2.feedback.P"] - p).max() + np.abs(state["fc2.feedback.Q"] - q).max())
        )
    assert [d < 1e-12 for d in distances] == [False, False, True, False, False, True]


def test_svd_pair_is_the_best_approximation_and_balanced() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 7))
    p, q = svd_pair(weight, 3)
    lost = np.linalg.svd(weight, compute_uv=False)[3:]
    assert np.linalg.norm(q @ p - weight.T) == pytest.approx(np.linalg.norm(lost), rel=1e-12)
    np.testing.assert_allclose(p @ p.T, q.T @ q, atol=1e-12)


def test_refresh_counts_steps_across_sessions() -> None:
    """A resumed run refreshes when the run that it continues would have."""
    artifact = compile(spec(mlp(4, 4, 3), NORMATIVE), backend="reference")
    first = artifact.open()
    for _ in range(2):
        first.step(X, Y)
    second = artifact.open(first.state())
    second.step(X, Y)
    state = second.state()
    np.testing.assert_allclose(state["fc2.feedback.P"], svd_pair(state["fc2.weight"], 2)[0], atol=1e-12)


def test_a_written_folder_refreshes_as_a_session_does(tmp_path: Path) -> None:
    made = compile(spec(mlp(4, 4, 3), NORMATIVE), backend="torch", precision="float64")
    made.write(tmp_path)
    code = compile_source((tmp_path / "step.py").read_text(), "step.py", "exec")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        patch.delitem(sys.modules, "kernels", raising=False)
        module: dict[str, Any] = {}
        exec(code, module)
    session = made.open(device="cpu")
    state = load_file(tmp_path / "state.safetensors")
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    for t in range(7):
        session.step(X, Y, 0.05)
        module["step"](state, module["workspace"](state, len(X)), x, y, 0.05, t)
        module["between"](state, t)
    for name, value in session.state().items():
        if name != "step":
            np.testing.assert_allclose(state[name].numpy(), value, rtol=1e-10, atol=1e-12)


def test_what_cannot_be_written_is_refused() -> None:
    made = compile(spec(mlp(4, 4, 3), NORMATIVE), backend="torch")
    task = replace(made.compiled.tasks[0], kind="dream")
    odd = type(made)(replace(made.compiled, tasks=(task,)), "float64")
    with pytest.raises(FacError, match="cannot write what `dream` does between steps"):
        odd.open(device="cpu")


def test_no_tasks_without_refresh() -> None:
    plain = compile(spec(mlp(4, 3), NORMATIVE | {"refresh": None}), backend="reference")
    assert plain.compiled.tasks == ()
