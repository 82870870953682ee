"""Written artifacts, and what sessions say of arrays that do not fit, on both backends."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

import fac
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.nets import NET, RELU, batch, conv2d, linear, spec
from fac.testing.rules import RULES, UPDATES

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch"])
X, Y = batch()


def artifact(backend: str, rule: str = "ldfa_oja_kp", update: str = "momentum", **fields: Any) -> Any:
    return compile(spec(NET, RULES[rule], UPDATES[update], **fields), backend=backend, precision="float64")


@BACKENDS
def test_written_folder(backend: str, tmp_path: Path) -> None:
    made = artifact(backend)
    folder = tmp_path / "a" / "b"
    made.write(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["backend"] == backend
    assert (manifest["name"], manifest["precision"], manifest["lr"]) == ("demo", "float64", 0.05)
    assert manifest["feeds"] == {"x": ["N", 5], "y": ["N"]}
    assert manifest["spec_hash"] == made.compiled.spec_hash
    assert sorted(manifest["files"]) == sorted(path.name for path in folder.iterdir())
    assert manifest["state"]["out.feedback.P"] == [2, 3]
    with safe_open(folder / "state.safetensors", "numpy") as stored:
        about = {"fac_checkpoint": "2", "backend": backend, "precision": "float64", **made.compiled.about}
        found = stored.metadata()
        assert len(found.pop("digest")) == 64
        assert found == about
        assert set(stored.keys()) == {*manifest["state"], "step"}
        assert stored.get_tensor("step") == 0
        initial = made.compiled.initial()
        for name in initial:
            np.testing.assert_array_equal(stored.get_tensor(name), initial[name])


@BACKENDS
def test_folder_that_cannot_be_written(backend: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FacError, match=f"^`{tmp_path}/file` is a file, where a folder is needed"):
            artifact(backend).write(folder)
    assert (tmp_path / "file").read_text() == ""


def test_regression_says_so_in_the_manifest(tmp_path: Path) -> None:
    artifact("reference", loss="mse").write(tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text())["feeds"]["y"] == ["N", 3]


SCRIPT = """
    import sys

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ("fac", "fac_torch", "fac_reference", "pydantic", "ruamel", "safetensors"):
                raise ImportError(f"the folder must run without {name}")

    sys.meta_path.insert(0, Absent())
    import numpy
    import torch
    import step

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    S = step.kernels.load_state("state.safetensors")
    data = numpy.load("data.npz")
    x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    B = step.workspace(S, len(x))
    losses = [float(step.step(S, B, x, y, 0.05, t)) for t in range(3)]
    probed = step.probe(S, x, y, 3)
    found = step.evaluate(S, x, y)
    numpy.savez("out.npz", losses=losses, loss=float(found["loss"]), hits=float(found["hits"]),
                probed=[float(v) for v in probed.values()], output=step.forward(S, x).numpy(),
                **{name: tensor.numpy() for name, tensor in S.items()})
    assert not {"fac", "fac_torch"} & set(sys.modules)
"""


DENSE = (linear("fc1", 8), RELU, {"kind": "dropout", "rate": 0.5}, linear("fc2", 6), RELU, linear("out", 3))
MAPS = (
    conv2d("c1", 5, 3, padding=1),
    {"kind": "batch_norm", "name": "n1"},
    RELU,
    {"kind": "max_pool2d", "kernel": 2},
    conv2d("c2", 4, (2, 3), bias=False),
    RELU,
    {"kind": "flatten"},
    linear("out", 3),
)
MAP = np.random.default_rng(3).standard_normal((len(X), 2, 7, 9))


@pytest.mark.parametrize(
    ("layers", "x", "rule", "update"),
    [
        (DENSE, X, "ldfa_oja_kp", "momentum"),
        (DENSE, X, "subspace", "adamw"),
        (MAPS, MAP, "ldfa_oja_kp", "momentum"),
        (MAPS, MAP, "dfa", "nesterov"),
    ],
    ids=["ldfa", "subspace", "maps, ldfa", "maps, dfa"],
)
def test_folder_runs_without_fac(layers: Any, x: Any, rule: str, update: str, tmp_path: Path) -> None:
    """A process of its own, in which importing fac is an error, makes the steps that the session makes."""
    data = spec(layers, RULES[rule], UPDATES[update], shape=x.shape[1:])
    made = compile(data, backend="torch", precision="float64")
    made.write(tmp_path)
    np.savez(tmp_path / "data.npz", x=x, y=Y)
    (tmp_path / "main.py").write_text(textwrap.dedent(SCRIPT))
    ended = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    session = made.open(device="cpu")
    losses = [float(session.step(x, Y, 0.05)["loss"]) for _ in range(3)]
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_allclose(found["losses"], losses, rtol=1e-14)
        np.testing.assert_allclose(
            found["probed"], list(session.probe(x, Y).values()), rtol=1e-12, atol=1e-12
        )
        np.testing.assert_allclose(found["output"], session.forward(x), rtol=1e-12, atol=1e-13)
        assert session.evaluate(x, Y) == pytest.approx(
            {"loss": float(found["loss"]), "accuracy": float(found["hits"]) / len(x)}
        )
        for name, value in session.state().items():
            if name != "step":
                np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-14)


# -- state --------------------------------------------------------------------------------------------------------


@BACKENDS
def test_state_of_another_spec_is_refused_whole(backend: str) -> None:
    session = artifact(backend).open()
    session.step(X, Y)
    before = session.state()
    good = {name: array + 1 for name, array in before.items()}
    bad = {
        "the state lacks parameters of `demo`: give `fc1.weight`, which": {
            k: v for k, v in good.items() if k != "fc1.weight"
        },
        "`fc9.weight` is unknown": good | {"fc9.weight": np.zeros(1)},
        r"`fc1.bias` is \[9\], not \[8\]": good | {"fc1.bias": np.zeros(9)},
    }
    for message, state in bad.items():
        with pytest.raises(FacError, match=message):
            session.load_state(state)
        after = session.state()
        assert all((after[name] == before[name]).all() for name in before)
        assert session.steps == 1


@BACKENDS
def test_many_differences_are_cut_short(backend: str) -> None:
    session = artifact(backend).open()
    with pytest.raises(
        FacError, match=r"lacks parameters of `demo`: give `fc1.weight`, .*, .* and [0-9]+ more, which"
    ):
        session.load_state({})
    message = "belongs to another spec than `demo`: `nothing` is unknown; `fc1.weight` is missing; .* and [0-9]+ more$"
    with pytest.raises(FacError, match=message):
        artifact(backend).open({"nothing": np.zeros(1)})


def test_what_pytorch_counts_beside_averages_is_named() -> None:
    layers = ({"kind": "linear", "name": "fc1", "out": 3}, {"kind": "batch_norm", "name": "n1"})
    session = compile(spec(layers), "reference").open()
    state = session.state() | {"n1.num_batches_tracked": np.array(7)}
    message = (
        r"`n1.num_batches_tracked` is unknown: "
        r"leave out `\*.num_batches_tracked`, which PyTorch counts and nothing here reads$"
    )
    with pytest.raises(FacError, match=message):
        session.load_state(state)


# -- batches ------------------------------------------------------------------------------------------------------


@BACKENDS
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:, :4], Y, r"x has shape \[7, 4\], but `input.shape` asks for \[N, 5\], N > 0"),
        (X[0], Y, r"x has shape \[5\]"),
        (X[:0], Y[:0], r"x has shape \[0, 5\]"),
        (X, Y[:3], "y has to hold 7 whole-number labels, not int64 of shape .3"),
        (X, Y.astype(float), "y has to hold 7 whole-number labels, not float64"),
        (X, np.full(7, 3), "label 3 of sample 0 is not in 0..2"),
        (X, np.array([0, 0, -1, 0, 0, 0, 0]), "label -1 of sample 2 is not in 0..2"),
    ],
    ids=["width", "one sample", "empty", "count", "floats", "too large", "negative"],
)
def test_batches_that_do_not_fit(backend: str, x: Any, y: Any, message: str) -> None:
    session = artifact(backend).open()
    before = session.state()
    for call in (session.step, session.evaluate, session.probe):
        with pytest.raises(FacError, match=message):
            call(x, y)
    assert all((session.state()[name] == before[name]).all() for name in before)


@BACKENDS
def test_targets_that_do_not_fit(backend: str) -> None:
    session = artifact(backend, loss="mse").open()
    with pytest.raises(FacError, match=r"y has shape \[7\], but the loss asks for \[7, 3\]"):
        session.step(X, Y)


@BACKENDS
def test_targets_out_of_range(backend: str) -> None:
    session = artifact(backend, loss="bce").open()
    before = session.state()
    y = np.full((7, 3), 0.5)
    y[0] = 0, 1, 0.25
    for bad in (1.25, -0.5, np.nan):
        y[4, 1] = bad
        for call in (session.step, session.evaluate, session.probe):
            with pytest.raises(FacError, match=rf"^target {bad} of sample 4 is not in \[0, 1\]$"):
                call(X, y)
    assert all((session.state()[name] == before[name]).all() for name in before)
    y[4, 1] = 1
    assert session.evaluate(X, y).keys() == {"loss"}


@BACKENDS
def test_lists_are_taken(backend: str) -> None:
    """And the default learning rate is the spec's."""
    first, second = artifact(backend).open(), artifact(backend).open()
    assert float(first.step(X.tolist(), Y.tolist())["loss"]) == float(second.step(X, Y, 0.05)["loss"])
    np.testing.assert_array_equal(first.state()["fc1.weight"], second.state()["fc1.weight"])


@BACKENDS
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, None, "the batch lacks y: `demo` is fed with `x` and `y`"),
        (X + 1j, Y, "`x` holds complex128, not real numbers"),
        (X.astype(object), Y, "`x` holds object, not real numbers"),
        (
            torch.ones(7, 4, dtype=torch.float64),
            Y,
            r"x has shape \[7, 4\], but `input.shape` asks for \[N, 5\]",
        ),
        (X, torch.full((7,), 3, dtype=torch.int32), "label 3 of sample 0 is not in 0..2"),
        (X, torch.full((7,), -100), "label|y goes from -100 to -100, where 0 to 2 fit"),
        (X, torch.full((7,), 3), "label|y goes from 3 to 3, where 0 to 2 fit"),
        (X, torch.zeros(3, dtype=torch.int64), "y "),
    ],
    ids=[
        "none",
        "complex",
        "object",
        "tensor width",
        "int32 tensor",
        "ignored label",
        "int64 tensor",
        "short",
    ],
)
def test_whatever_comes_from_outside_is_checked(backend: str, x: Any, y: Any, message: str) -> None:
    session = artifact(backend).open()
    before = session.state()
    with pytest.raises(FacError, match=message):
        session.step(x, y)
    assert all((session.state()[name] == before[name]).all() for name in before)


@BACKENDS
def test_tensors_and_whole_numbers_are_taken(backend: str) -> None:
    """uint8 pixels, tuples, tensors of any precision and layout: as the same numbers in a float array."""
    whole = np.arange(35, dtype=np.uint8).reshape(7, 5) % 4
    expected = artifact(backend).open()
    expected.step(whole.astype(float), Y)
    strided = torch.tensor(whole.T.copy(), dtype=torch.float32).T
    brain = torch.tensor(whole).bfloat16()
    for x, y in (
        (whole, Y),
        (tuple(map(tuple, whole.tolist())), tuple(Y)),
        (strided, torch.tensor(Y).int()),
        (brain, Y),
    ):
        session = artifact(backend).open()
        session.step(x, y)
        np.testing.assert_allclose(session.state()["fc1.weight"], expected.state()["fc1.weight"], rtol=1e-12)


@BACKENDS
def test_a_state_without_numbers_changes_nothing(backend: str) -> None:
    session = artifact(backend).open()
    before = session.state()
    last = list(before)[-2]
    for name, value in (
        (last, np.full(before[last].shape, "a")),
        ("step", np.array(0.5)),
        ("step", np.array(-1)),
    ):
        with pytest.raises(FacError, match=f"`{name}`"):
            session.load_state({**{k: v + 1 for k, v in before.items()}, name: value})
        assert all((session.state()[k] == before[k]).all() for k in before)


@BACKENDS
def test_chunks_are_invisible(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session = artifact(backend).open()
    whole, output = session.evaluate(X, Y), session.forward(X)
    monkeypatch.setattr("fac.backend.session.CHUNK", 3)
    parts = session.evaluate(X, Y)
    assert parts["accuracy"] == pytest.approx(whole["accuracy"], rel=1e-12)
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    np.testing.assert_allclose(session.forward(X), output, rtol=1e-6)


def test_there_are_two_precisions() -> None:
    with pytest.raises(FacError, match="no precision is called `float16`; there are `float32`, `float64`"):
        fac.compile({}, backend="reference", precision="float16")  # type: ignore[arg-type]


def test_reference_runs_on_the_cpu_only() -> None:
    with pytest.raises(FacError, match="runs on `cpu` only, not on `cuda`"):
        artifact("reference").open(device="cuda")
