"""A state is read as it was written, or it is refused: by the core, by `run.py`, and by what travels with `step.py`."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from fac.backend import state_file, state_reading, to_bytes
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.nets import NET, spec
from fac.training import checkpoint
from fac_torch import kernels

STATE: dict[str, Any] = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7, np.int64)}
ABOUT = {"spec": "{}", "name": 'a "b" ü'}
Reader = tuple[Callable[[Path], Any], type[BaseException]]


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    """Each with what it raises, whose text is one message."""
    folder = tmp_path_factory.mktemp("built")
    compile(spec(NET), "onnx").write(folder)
    page = runpy.run_path(str(folder / "run.py"))
    return {
        "core": (checkpoint.load, FacError),
        "run.py": (page["load_state"], SystemExit),
        "kernels": (lambda path: kernels.load_state(str(path)), ValueError),
    }


def test_a_state_that_is_cut_off_in_its_header_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, {"step": np.array(7)}, {})
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    path.write_bytes(whole[:20])
    with pytest.raises(FacError, match=f"it is cut off: its header has {length} bytes, and 12 are there"):
        checkpoint.load(path)
    path.write_bytes(whole[:7])
    with pytest.raises(FacError, match="it does not begin with the length of a header"):
        checkpoint.load(path)


def test_a_header_without_bounds_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none is written that would not be read again."""
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, {"step": np.array(7)}, {"long": "x" * 2000})
    for module in (state_file, state_reading):
        monkeypatch.setattr(module, "HEADER", 2000)
    with pytest.raises(FacError, match="length of a header, of at most 2,000 bytes"):
        checkpoint.load(path)
    with pytest.raises(FacError, match="a state says at most 2,000 bytes of its arrays"):
        checkpoint.save(path, {"step": np.array(7)}, {"long": "x" * 2000})


@pytest.mark.parametrize("reader", ["core", "run.py", "kernels"])
def test_no_flipped_bit_of_a_state_passes(reader: str, readers: dict[str, Reader], tmp_path: Path) -> None:
    """Wherever it stands: in the length of the header, in the header, its digest included, or in the data."""
    read, error = readers[reader]
    path = tmp_path / "state.safetensors"
    whole = to_bytes(STATE, ABOUT)
    path.write_bytes(whole)
    read(path)
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            with pytest.raises(error) as refused:
                read(path)
            assert "\n" not in str(refused.value)


@pytest.mark.parametrize("reader", ["core", "run.py", "kernels"])
def test_damaged_data_are_told_with_the_remedy(
    reader: str, readers: dict[str, Reader], tmp_path: Path
) -> None:
    read, error = readers[reader]
    path = tmp_path / "state.safetensors"
    whole = to_bytes(STATE, ABOUT)
    for damaged in (whole[:-16] + bytes(16), whole.replace(b'"spec":"{}"', b'"spec":"[]"')):
        assert damaged != whole
        path.write_bytes(damaged)
        with pytest.raises(error, match=r"is damaged.*bring back a copy"):
            read(path)


def test_a_state_of_an_earlier_version_is_read_and_gets_a_digest_when_it_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_file(STATE, path, {**ABOUT, "fac_checkpoint": "1"})
    found = checkpoint.load(path)
    np.testing.assert_array_equal(found.state["w"], STATE["w"])
    checkpoint.save(path, found.state, found.about)
    with safe_open(path, "numpy") as file:
        assert {"fac_checkpoint": "2", **ABOUT}.items() <= file.metadata().items()
        assert len(file.metadata()["digest"]) == 64


def test_a_digest_that_was_taken_out_is_missed(tmp_path: Path, readers: dict[str, Reader]) -> None:
    path = tmp_path / "state.safetensors"
    save_file(STATE, path, {**ABOUT, "fac_checkpoint": "2"})
    for read, error in readers.values():
        with pytest.raises(error, match="is damaged"):
            read(path)


def test_what_run_py_writes_carries_the_digest_that_the_core_reads(
    readers: dict[str, Reader], tmp_path: Path
) -> None:
    """Of names and texts that JSON escapes, and of arrays in any order of memory."""
    page: Any = readers["run.py"][0].__globals__
    path = tmp_path / "trained.safetensors"
    state = {"ü.w": np.arange(6, dtype=np.float32).reshape(2, 3).T, "step": np.array(7)}
    page["save_state"](path, ABOUT | {"digest": "old", "fac_checkpoint": "1"}, state)
    for arrays in (checkpoint.load(path).state, page["load_state"](path)[1]):
        for key, array in state.items():
            np.testing.assert_array_equal(arrays[key], array)
    assert torch.equal(kernels.load_state(str(path))["ü.w"], torch.from_numpy(state["ü.w"]))
