"""What runs around the emitted code: kernels with and without fused forms, tiles, memory, tracebacks, precision."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.case import distance
from fac.testing.nets import DROPOUT, NET, batch, linear, spec
from fac.testing.rules import RULES
from fac.testing.rules import UPDATES as SHARED
from fac_torch import BACKEND, device, kernels, update_kernels

DEVICES = BACKEND.devices()
UPDATES = SHARED | {"plain_nesterov": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True}}
OPTIMISERS = ["sgd", "momentum", "nesterov", "plain_nesterov", "adam", "adamw", "groups"]


def run(rule: str, update: str, on: str, steps: int = 5) -> dict[str, Any]:
    session = compile(spec(NET, RULES[rule], UPDATES[update]), "torch", "float64").open(device=on)
    for step in range(steps):
        session.step(*batch(seed=step))
    return session.state()


def same(a: dict[str, Any], b: dict[str, Any], tolerance: float) -> None:
    assert max(distance(a[name], b[name]) for name in a) <= tolerance


@pytest.mark.parametrize("on", DEVICES)
@pytest.mark.parametrize("update", OPTIMISERS)
@pytest.mark.parametrize("rule", ["bp", "fa_kp", "ldfa_oja_kp"])
def test_eager_kernels_equal_fused_ones(rule: str, update: str, on: str, monkeypatch: Any) -> None:
    """`fa_kp` lets two matrices read one gradient: a kernel that changed it would change the second's step."""
    fused = run(rule, update, on)
    for name in ("FUSED_SGD", "FUSED_ADAM", "FUSED_ADAMW"):
        monkeypatch.setattr(update_kernels, name, None)
    same(fused, run(rule, update, on), 1e-12)


def test_this_torch_has_the_fused_kernels() -> None:
    """Else the test above compares the eager kernels with themselves."""
    assert None not in (update_kernels.FUSED_SGD, update_kernels.FUSED_ADAM, update_kernels.FUSED_ADAMW)


@pytest.mark.parametrize("on", DEVICES)
@pytest.mark.parametrize("update", OPTIMISERS)
@pytest.mark.parametrize("tile", [8, 8 * 8, 3 * 8 * 8])
def test_tiles(tile: int, update: str, on: str, monkeypatch: Any) -> None:
    """Room for less than a row, one row or a few of fc2's 6 x 8 gradient; the last tile is a partial one."""
    whole = run("ldfa_oja_kp", update, on)
    monkeypatch.setattr(kernels, "TILE_BYTES", {"cpu": tile, "cuda": tile})
    loops: list[int] = []
    plain = update_kernels._tiles
    monkeypatch.setattr(update_kernels, "_tiles", lambda *given: _counted(plain(*given), loops))
    same(whole, run("ldfa_oja_kp", update, on), 1e-13)
    assert max(loops) > 1


def _counted(tiles: Any, loops: list[int]) -> Any:
    count = 0
    for pair in tiles:
        count += 1
        yield pair
    loops.append(count)


@pytest.mark.parametrize("on", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("columns", [1, update_kernels.THIN, update_kernels.THIN + 1])
@pytest.mark.parametrize("rows", [update_kernels.THIN, update_kernels.THIN + 1, 70])
def test_gradients_of_every_width(rows: int, columns: int, dtype: torch.dtype, on: str) -> None:
    """Thin products are made through their transpose; the numbers and the place of the result stay."""
    generator = torch.Generator().manual_seed(0)
    d = torch.randn(9, rows, generator=generator, dtype=torch.float64)
    h = torch.randn(9, columns, generator=generator, dtype=torch.float64)
    out = torch.full((rows, columns), torch.nan, dtype=dtype, device=on)
    made = update_kernels._outer(d.to(on, dtype), h.to(on, dtype), out)
    assert made.data_ptr() == out.data_ptr()
    bound = 1e-13 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(out.double().cpu(), d.T @ h, rtol=0, atol=bound)


@pytest.mark.parametrize("on", DEVICES)
def test_parameters_keep_their_memory(on: str) -> None:
    """Emitted code, workspaces and whoever holds a tensor stay valid over steps, refreshes and loads."""
    for rule in ("ldfa_oja_kp", "ldfa_refresh"):
        session: Any = compile(spec(NET, RULES[rule], UPDATES["adam"]), "torch", "float64").open(device=on)
        before = {name: tensor.data_ptr() for name, tensor in session.tensors.items()}
        for step in range(8):
            session.step(*batch(seed=step))
        session.load_state(session.state())
        assert before == {name: tensor.data_ptr() for name, tensor in session.tensors.items()}


@pytest.mark.parametrize("on", DEVICES)
def test_every_trainable_tensor_moves(on: str) -> None:
    for rule, still in (("bp", set()), ("fa", {"fc2.feedback.B", "out.feedback.B"}), ("fa_kp", set())):
        session = compile(spec(NET, RULES[rule], UPDATES["momentum"]), "torch", "float64").open(device=on)
        before = session.state()
        for step in range(3):
            session.step(*batch(seed=step))
        after = session.state()
        assert {name for name in before if (before[name] == after[name]).all()} == still


@pytest.mark.parametrize("rule", RULES)
def test_no_autograd_graph(rule: str, monkeypatch: Any) -> None:
    """Nothing asks for a gradient, and nothing that comes out could give one."""
    session: Any = compile(spec(NET, RULES[rule], UPDATES["momentum"]), "torch", "float64").open(device="cpu")

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("autograd was called")

    monkeypatch.setattr(torch.autograd, "backward", refuse)
    monkeypatch.setattr(torch.autograd, "grad", refuse)
    with torch.enable_grad():
        loss = session.step(*batch())["loss"]
    assert not loss.requires_grad
    assert loss.grad_fn is None
    assert not any(tensor.requires_grad for tensor in session.tensors.values())
    workspace = session.workspaces[7]
    tensors = [value for value in vars(workspace).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) > 5
    assert not any(tensor.requires_grad for tensor in tensors)


def test_a_workspace_of_another_size_is_refused_before_anything_moves() -> None:
    session: Any = compile(spec(NET), "torch").open(device="cpu")
    before = session.state()
    x, y = (session.place(array) for array in batch(5))
    workspace = session.module.workspace(session.tensors, 7)
    with pytest.raises(ValueError, match=r"for 7 samples, not 5: call workspace\(S, 5\)"):
        session.module.step(session.tensors, workspace, x, y, 0.1, 0)
    assert all((session.state()[name] == before[name]).all() for name in before)


def test_kernels_read_the_state_of_a_run(tmp_path: Path) -> None:
    """Every type that a checkpoint holds, in any order of names, without the library that wrote it."""
    path = tmp_path / "state.safetensors"
    state: dict[str, Any] = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.array([0.5], np.float64),
        "step": np.array(7, np.int64),
    }
    save_file(state, path, {"spec_hash": "0"})
    found = kernels.load_state(str(path))
    assert found.keys() == state.keys()
    for name, array in state.items():
        assert found[name].numpy().dtype == array.dtype
        np.testing.assert_array_equal(found[name].numpy(), array)


def test_kernels_say_what_is_no_state(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_file({"a": np.arange(6, dtype=np.float32)}, path)
    whole = path.read_bytes()
    header = b'{"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}'
    message = re.escape(f"`{path}` is no safetensors file of F32, F64, I64, or a part of one")
    for content in (
        b"",
        b"text",
        whole[:30],
        whole[:-4],
        b"\2" + 7 * b"\0" + b"[]",
        bytes([len(header), *7 * [0]]) + header + b"00",
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            kernels.load_state(str(path))


def test_workspaces_are_made_once_per_batch_size() -> None:
    session: Any = compile(spec(NET), "torch").open(device="cpu")
    for n in (8, 8, 3, 8):
        session.step(*batch(n=n))
    assert set(session.workspaces) == {8, 3}
    first = session.workspaces[3]
    session.step(*batch(n=3))
    assert session.workspaces[3] is first
    session.step(*batch(n=5))
    assert len(session.workspaces) == 2


def test_tracebacks_show_emitted_lines() -> None:
    session: Any = compile(spec(NET), "torch", "float64").open(device="cpu")
    with pytest.raises(RuntimeError) as caught:
        session.module.step(
            session.tensors, session._workspace(7), torch.zeros(7, 4, dtype=torch.float64), None, 0.1, 0
        )
    text = "".join(traceback.format_exception(caught.value))
    assert "fc1 = torch.addmm(fc1_bias, x, fc1_weight.T, out=B.fc1)" in text
    assert "<fac demo " in text


# -- precision of float32 products ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["medium", "high"])
def test_precision_is_put_back(mode: str) -> None:
    before = torch.get_float32_matmul_precision()
    with device.float32_products(mode):
        assert torch.get_float32_matmul_precision() == mode
    assert torch.get_float32_matmul_precision() == before
    with pytest.raises(ZeroDivisionError), device.float32_products(mode):
        _ = 1 / 0
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("call", ["step", "evaluate", "probe", "forward"])
def test_session_puts_precision_back(call: str) -> None:
    session: Any = compile(spec(NET), "torch", "float32").open(device="cpu")
    session.matmul = "medium"
    seen: list[str] = []
    inner = getattr(session.module, call)

    def spy(*given: Any) -> Any:
        seen.append(torch.get_float32_matmul_precision())
        return inner(*given)

    setattr(session.module, call, spy)
    x, y = batch()
    getattr(session, call)(*((x,) if call == "forward" else (x, y)))
    assert seen == ["medium"]
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(("batch", "expected"), [(255, "highest"), (257, "medium")])
def test_small_products_are_left_to_the_library_that_takes_less_for_a_call(
    batch: int, expected: str, monkeypatch: Any
) -> None:
    """256 x 512 weights: the bound of 33 million multiply-adds is a batch of 256."""
    monkeypatch.setattr("fac_torch.session.matmul_precision", lambda kind: "medium")
    data = spec((linear("fc1", 256),), shape=(512,), loss="mse", train={"batch": batch})
    session: Any = compile(data, "torch").open(device="cpu")
    assert session.matmul == expected


def test_float64_never_asks_the_probe(monkeypatch: Any) -> None:
    monkeypatch.setattr("fac_torch.session.matmul_precision", lambda kind: pytest.fail("probed"))
    compile(spec(NET), "torch", "float64").open(device="cpu")


@pytest.mark.parametrize(
    ("amd", "bound", "expected"), [(True, 1.0, "medium"), (False, 1.0, "highest"), (True, 0.0, "highest")]
)
def test_probe_decides_by_cpu_and_error(amd: bool, bound: float, expected: str, monkeypatch: Any) -> None:
    """Never by the clock. A bound of 0 stands for bfloat16 tiles, which no result keeps within."""
    monkeypatch.setattr(device, "is_amd", lambda: amd)
    monkeypatch.setattr(device, "MAX_ERROR", bound)
    monkeypatch.setattr(device, "float32_libraries", device.float32_libraries.__wrapped__)
    random = torch.get_rng_state()
    probe = device.matmul_precision.__wrapped__
    assert [probe("cpu"), probe("cpu")] == [expected, expected]
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.equal(random, torch.get_rng_state())


def test_probe_leaves_cuda_alone() -> None:
    assert device.matmul_precision.__wrapped__("cuda") == "highest"


def test_unknown_device() -> None:
    artifact = compile(spec(NET), "torch")
    for name in ("nonsense", "cuda:99"):
        with pytest.raises(FacError, match=f"cannot use the device `{name}` here; it has .*cpu"):
            artifact.open(device=name)


def test_dropout_is_off_outside_training() -> None:
    session = compile(spec(DROPOUT), "torch", "float64").open(device="cpu")
    x, y = batch()
    np.testing.assert_array_equal(session.forward(x), session.forward(x))
    assert session.evaluate(x, y) == session.evaluate(x, y)
    assert session.state()["step"] == 0


PLACED: dict[str, tuple[Any, Any, str]] = {
    "a target": (1.0, 1.5, r"^target 1\.5 of sample 2 is not in \[0, 1\]$"),
    "a mask": (0.5, 1.0, r"^shown is a mask of 0 and 1, and has 0\.5 in sample 2$"),
}


@pytest.mark.parametrize("name", PLACED)
def test_placed_numbers_out_of_range_are_refused_on_a_cpu(name: str) -> None:
    """As those in arrays are: nothing has to be waited for."""
    shown, target, said = PLACED[name]
    inputs = {"inputs": {"x": {"shape": (4, 5)}, "shown": {"shape": (4,), "mask": True}}}
    layers = (linear("fc", 3, **{"from": "x"}), {"kind": "mean", "axes": (0,), "mask": "shown"})
    data = {key: value for key, value in spec(layers, loss="bce").items() if key != "input"} | inputs
    session = compile(data, "torch", "float64").open(device="cpu")
    arrays = {"x": np.zeros((5, 4, 5)), "shown": np.ones((5, 4)), "y": np.zeros((5, 3))}
    session.step({key: session.place(array) for key, array in arrays.items()})
    arrays["shown"][2, 1], arrays["y"][2, 1] = shown, target
    with pytest.raises(FacError, match=said):
        session.step({key: session.place(array) for key, array in arrays.items()})
