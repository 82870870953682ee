"""Its angles, derived anew, its layer, its splits and what it refuses: `pytest examples/outside/beamforming`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import fac
from fac import pipeline, source
from fac.cli import fac as command
from fac.diagnostics import FacError
from fac.plugin import load
from fac.testing import check_kind

HOME = Path(__file__).parent
ours = load(HOME / "beamforming.py")
SPEC = HOME / "beamforming.fac.yaml"
SMALL = (
    "data.sub_carriers=54",
    "input.shape=[6, 1, 54]",
    "data.frames=2",
    "data.devices=3",
    "train.epochs=1",
)
Complex = NDArray[np.complex128]


def changed(*changes: str) -> source.Document:
    return source.override(source.read(str(SPEC)), changes)


def unitary(seed: int, *shape: int) -> Complex:
    return np.asarray(np.linalg.qr(ours.normal(np.random.default_rng(seed), *shape, 3, 2))[0])


def one_by_one(angles: NDArray[np.float64]) -> Complex:
    """V~ of six angles by whole matrices, as the standard writes it."""
    phi11, phi21, psi21, psi31, phi22, psi32 = angles

    def g(i: int, other: int, psi: float) -> Complex:
        made = np.eye(3, dtype=complex)
        made[i, i] = made[other, other] = np.cos(psi)
        made[i, other], made[other, i] = np.sin(psi), -np.sin(psi)
        return made

    d1 = np.diag(np.exp(1j * np.array([phi11, phi21, 0])))
    d2 = np.diag(np.exp(1j * np.array([0, phi22, 0])))
    return np.asarray(d1 @ g(0, 1, psi21).T @ g(0, 2, psi31).T @ d2 @ g(1, 2, psi32).T @ np.eye(3, 2))


def test_angles_say_all_of_a_matrix_but_phases_of_columns() -> None:
    v = unitary(0, 50, 7)
    angles = ours.compressed(v)
    made = ours.expanded(angles)
    phases = np.exp(1j * np.angle(v[..., -1:, :]))
    np.testing.assert_allclose(made * phases, v, atol=1e-12)
    assert np.abs(made[..., -1, :].imag).max() < 1e-15
    assert made[..., -1, :].real.min() >= 0
    np.testing.assert_allclose(made[3, 4], one_by_one(angles[3, 4]), atol=1e-14)
    assert angles.min() >= 0
    assert angles[..., ours.PHI].max() < 2 * np.pi
    assert angles[..., ours.PSI].max() <= np.pi / 2


@pytest.mark.parametrize(("bits", "low", "high"), [((9, 7), 2.7e-3, 3.1e-3), ((7, 5), 1.05e-2, 1.25e-2)])
def test_what_quantisation_costs(bits: tuple[int, int], low: float, high: float) -> None:
    """No angle by more than half a step, a matrix by what the paper's codebooks cost."""
    v = unitary(1, 4000)
    angles = ours.compressed(v)
    numbers, (offset, step) = ours.quantised(angles, bits), ours.scale(bits)
    assert set(np.unique(numbers % 1)) == {0.0}
    assert (numbers[:, ours.PHI].max(), numbers[:, ours.PSI].max()) == (2 ** bits[0] - 1, 2 ** bits[1] - 1)
    apart = np.abs(offset + step * numbers - angles)
    apart[:, ours.PHI] = np.minimum(apart[:, ours.PHI], 2 * np.pi - apart[:, ours.PHI])
    assert (apart <= step / 2 + 1e-12).all()
    error = np.abs(ours.expanded(offset + step * numbers) - ours.expanded(angles)).mean()
    assert low < error < high


@pytest.mark.parametrize("column", [1, 2])
@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_the_layer_makes_the_matrix(column: int, backend: str) -> None:
    numbers = ours.quantised(ours.compressed(unitary(2, 4, 54)), (9, 7))
    last = "{kind: flatten}, {kind: linear, name: logits, out: 270}"
    layers = f"layers=[{{kind: beamforming_matrix, column: {column}}}, {last}]"
    document = changed(*SMALL[:2], layers, "data=null", "loss={kind: mse}")
    session = pipeline.compile(document, backend, precision="float64").open()
    session.write({"logits.weight": np.eye(270), "logits.bias": np.zeros(270)})
    found = session.forward(np.moveaxis(numbers, -1, 1)[:, :, None]).reshape(4, 5, 54)
    offset, step = ours.scale((9, 7))
    v = np.moveaxis(ours.expanded(offset + step * numbers)[..., column - 1], -1, 1)
    np.testing.assert_allclose(found, np.concatenate([v.real, v.imag[:, :2]], 1), atol=1e-12)


def test_a_transmitter_is_its_ripple(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of one channel differ by the ripple alone, and those of no ripple are those of the channel."""
    data = ours.Beamforming(frames=2, devices=2, sub_carriers=54, steady=0.0, bits=(9, 7), split="all")
    ripples = ours.ripples(data)
    assert np.abs(ripples - 1).std() == pytest.approx(0.2 * (1 - np.pi / 4) ** 0.5, rel=0.1)
    monkeypatch.setattr(ours, "quantised", lambda angles, bits: angles)
    sent, who = ours.frames(data, np.eye(9)[:3], np.random.default_rng(5))
    assert who.tolist() == [0, 1] * 3
    monkeypatch.setattr(ours, "ripples", lambda data: np.ones((2, 3, 54)))
    plain, _ = ours.frames(data, np.eye(9)[:3], np.random.default_rng(5))
    v, w = (ours.expanded(np.moveaxis(angles[:, :, 0], 1, -1)) for angles in (sent, plain))
    # The columns span what channel times ripple does: R V' of the plain one, up to a matrix [2, 2].
    r = ripples[who].transpose(0, 2, 1)[..., None]
    spanned = np.linalg.qr(np.conj(r) * w)[0]
    inside = np.conj(np.swapaxes(spanned, -1, -2)) @ v
    np.testing.assert_allclose(np.linalg.svd(inside)[1], 1.0, atol=1e-9)


@pytest.mark.parametrize(
    ("split", "train", "test"), [("all", 9, 9), ("odd_even", 5, 4), ("low_high", 5, 4), ("moving", 6, 3)]
)
def test_splits(split: Any, train: int, test: int) -> None:
    data = ours.Beamforming(split=split, frames=2, devices=3, sub_carriers=54)
    made = ours.load(data, HOME, "float64")
    assert (len(made.train.x), len(made.test.x)) == (train * 6, test * 6)
    joined = {row.tobytes() for row in made.train.x} & {row.tobytes() for row in made.test.x}
    assert not joined


def test_kinds_keep_what_they_declare() -> None:
    source_kind, layer_kind = ours.KINDS
    check_kind(source_kind, ours.Beamforming(frames=2, devices=3, sub_carriers=54))
    check_kind(layer_kind, None, [(6, 1, 4)])


MISTAKES = {
    "data.bits=[9, 8]": "angles of 9 and 8 bits are in no codebook",
    "layers.matrix.bits=[7, 9]": "angles of 7 and 9 bits are in no codebook",
    "data.sub_carriers=54": "FAC219",
    "input.shape=[5, 1, 110]": "reads six angles of each sub-carrier",
    "layers.matrix.column=3": "column",
    "data.ripple=1.5": "ripple",
    "data.split=later": "split",
    "data.devices=12": "FAC219",
}


@pytest.mark.parametrize("change", MISTAKES)
def test_mistakes_are_found_before_anything_runs(change: str) -> None:
    found = fac.check(changed(change))
    assert MISTAKES[change] in " ".join(
        f"{one.rule.code} {one.path} {one.message} {one.help}" for one in found
    )


def test_angles_out_of_range_are_refused() -> None:
    with pytest.raises(
        FacError, match=r"an angle psi is out of range: there are 1\.7 to 1\.7, and it goes from 0 to 1\.571"
    ):
        ours.expanded(np.array([0.1, 0.2, 1.7, 1.7, 0.3, 1.7]))
    with pytest.raises(FacError, match="an angle phi is out of range"):
        ours.expanded(np.array([0.1, -0.2, 0.7, 0.7, 0.3, 0.7]))


def test_one_frame_is_told_by_a_command_and_by_a_graph(tmp_path: Path) -> None:
    sets = [word for change in SMALL for word in ("--set", change)]
    run = CliRunner()
    out = tmp_path / "run"
    assert run.invoke(command, ["train", str(SPEC), "--out", str(out), *sets]).exit_code == 0
    data = ours.Beamforming(frames=2, devices=3, sub_carriers=54)
    frame = ours.load(data, HOME, "float32").test.x[:1]
    np.savez(tmp_path / "frame.npz", x=frame)
    told = run.invoke(
        command, ["predict", str(out), str(tmp_path / "frame.npz"), "-o", str(tmp_path / "told.npz")]
    )
    assert told.exit_code == 0, told.output
    exported = run.invoke(command, ["export", str(out), "-o", str(tmp_path / "model.onnx")])
    assert exported.exit_code == 0, exported.output
    graph = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (output,) = graph.run(None, {"x": frame})[:1]
    with np.load(tmp_path / "told.npz") as found:
        np.testing.assert_allclose(output, found["output"], atol=1e-4)
        assert found["label"] == [output.argmax()]
