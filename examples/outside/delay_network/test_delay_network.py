"""The network against its recursion and its transfer function, measures against closed forms, and what is refused."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fac
from fac import pipeline, source
from fac.plugin import load
from fac.testing import check_kind
from fac.testing.network_laws import check_backends, check_derivative

HOME = Path(__file__).parent
delay_network, room = (load(HOME / name) for name in ("delay_network.py", "room.py"))
SPEC = HOME / "delay_network.fac.yaml"
SMALL = ("input.shape=[256]", "data.samples=256", "layers.reverb.block=8", "layers.reverb.buffer=32")
Array = NDArray[np.float64]


def changed(*changes: str) -> source.Document:
    return source.override(source.read(str(SPEC)), changes)


def opened(delays: list[float], t60: float | None, *changes: str) -> Any:
    own = (f"layers.reverb.delays={delays}", f"layers.reverb.t60={'null' if t60 is None else t60}")
    return pipeline.compile(changed(*SMALL, *own, *changes), "reference", precision="float64").open()


def parts(session: Any, delays: list[float], t60: float | None) -> tuple[Array, Array, Array, float]:
    state = {name.rpartition(".")[2]: value for name, value in session.state().items()}
    upper = np.triu(state["skew"], 1)
    values, vectors = np.linalg.eigh(1j * (upper - upper.T))
    u = np.real((vectors * np.exp(-1j * values)) @ np.conj(vectors.T))
    assert np.abs(u.T @ u - np.eye(len(u))).max() < 1e-12
    gains = np.ones(len(u)) if t60 is None else 10 ** (-3 * np.array(delays) / (8000 * t60))
    return u * gains, state["b"], state["c"], float(state["d"][0])


@pytest.mark.parametrize("t60", [None, 0.02])
def test_the_response_is_that_of_the_recursion(t60: float | None) -> None:
    """Sample by sample, with whole delays; without loss the energy in the lines is that of b for ever."""
    delays = [9.0, 13.0, 17.0, 20.0]
    session = opened(delays, t60)
    a, b, c, d = parts(session, delays, t60)
    lines, x = [np.zeros(int(m)) for m in delays], np.eye(1, 256)[0]
    out = np.zeros(256)
    for n, given in enumerate(x):
        s = np.array([line[n % len(line)] for line in lines])
        out[n] = c @ s + d * given
        for line, value in zip(lines, a @ s + b * given, strict=True):
            line[n % len(line)] = value
        if t60 is None:
            assert sum(float(line @ line) for line in lines) == pytest.approx(b @ b, rel=1e-10)
    np.testing.assert_allclose(session.forward(x[None])[0], out, atol=1e-12)


def test_it_is_its_transfer_function() -> None:
    """H(z) = c^T (D(z)^-1 - A)^-1 b + d on the unit circle, of a response that has faded."""
    delays = [9.0, 12.0, 15.0]
    session = opened(delays, 0.005)
    a, b, c, d = parts(session, delays, 0.005)
    h = session.forward(np.eye(1, 256))[0]
    assert abs(h[-8:]).max() < 1e-12
    for w in (0.1, 0.7, 2.9):
        z = np.exp(1j * w)
        wanted = c @ np.linalg.solve(np.diag(z ** np.array(delays)) - a, b) + d
        assert h @ z ** -np.arange(256.0) == pytest.approx(wanted, abs=1e-11)


def test_a_fraction_of_a_sample_is_that_of_the_fourier_form() -> None:
    """One line that is fed and heard and does not turn: its first echo is the FFT's fractional delay of the impulse."""
    session = opened([20.25], None)
    session.write({"reverb.b": np.ones(1), "reverb.c": np.ones(1), "reverb.d": np.zeros(1)})
    h = session.forward(np.eye(1, 256))[0]
    size, delay = 32, 20.25 - 8
    k = np.arange(2 * size)
    turn = np.where(
        k < size, np.exp(-1j * np.pi * k / size * delay), np.exp(1j * np.pi * (2 * size - k) / size * delay)
    )
    turn[size] = np.cos(np.pi * delay)
    for age in range(8):  # behind that echoes of echoes come in
        buffer = np.zeros(2 * size)
        buffer[size - 1 - age] = 1
        wanted = np.fft.ifft(turn * np.fft.fft(buffer))[size - 1].real
        assert h[8 + age] == pytest.approx(wanted, abs=1e-12)


def test_whole_delays_are_those_of_a_rounded_network() -> None:
    rounded, whole = opened([9.0, 13.0], 0.02), opened([9.2, 12.7], 0.02, "layers.reverb.integer=true")
    x = np.random.default_rng(0).standard_normal((2, 256))
    np.testing.assert_allclose(whole.forward(x), rounded.forward(x), atol=1e-12)


def test_measures_of_signals_that_are_known() -> None:
    noise, pulses = np.random.default_rng(0).standard_normal(16_000), np.zeros(8000)
    pulses[::400] = 1
    assert room.counted(noise)[200:-200].mean() == pytest.approx(1, abs=0.05)
    assert room.counted(pulses)[200:-200].mean() < 0.05
    falling = np.random.default_rng(1).standard_normal(8000) * 10 ** (-3 * np.arange(8000) / 8000 / 0.4)
    assert room.reverberation(falling, 8000.0) == pytest.approx(0.4, abs=0.012)
    assert np.isnan(room.reverberation(np.eye(1, 5)[0], 8000.0))


def test_a_response_is_one_of_the_time_that_is_asked_for() -> None:
    found = room.response(room.Room(samples=8192, t60=0.3), 0)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-12)
    assert room.reverberation(found, 8000.0) == pytest.approx(0.3, rel=0.1)
    one, other = (room.response(room.Room(samples=512), number) for number in (0, 1))
    assert np.abs(one - other).max() > 0.01


def test_the_source_keeps_what_it_declares() -> None:
    """The others have tests of their own below: a layer of several weights, and losses of more than one valley."""
    check_kind(room.KINDS[0], room.Room(samples=64))


@pytest.mark.parametrize(
    "loss",
    [
        {"kind": "energy_decay"},
        {"kind": "energy_decay", "floor": 60.0},
        {"kind": "echo_density", "window": 5, "hop": 2, "sharpness": (3.0, 9.0)},
    ],
)
def test_the_step_takes_the_derivative_on_every_backend(loss: dict[str, Any]) -> None:
    """Through time, all parameters: by differences. `check_kind` is about layers of one weight."""
    layer = {"kind": "delay_network", "name": "reverb", "rate": 8000, "delays": (5.3, 6.6), "t60": 0.01}
    data = {
        "fac": 1,
        "name": "small",
        "input": {"shape": (12,)},
        "layers": (layer | {"block": 4, "buffer": 8},),
        "loss": loss,
        "update": {"rule": "sgd", "lr": 0.1},
        "train": {"batch": 5},
    }
    check_derivative("a delay network", data)
    check_backends("a delay network", data)


MISTAKES = {
    "layers.reverb.delays=[600, 100]": "a delay of 600 samples is longer than its buffer, which ends at 575",
    "layers.reverb.delays=[10, 100]": "is no longer than the 64 of a block",
    "layers.reverb.delays=[]": "delays",
    "layers.reverb.block=1": "would be unrolled over 4096 blocks",
    "layers.reverb.t60=0": "t60",
    "input.shape=[64, 64]": "reads one signal",
    "input.shape=[100]": "FAC219",
    "data.mixing=0.00001": "`mixing` is shorter",
}


@pytest.mark.parametrize("change", MISTAKES)
def test_mistakes_are_found_before_anything_runs(change: str) -> None:
    said = " ".join(
        f"{one.rule.code} {one.path} {one.message} {one.help}" for one in fac.check(changed(change))
    )
    assert MISTAKES[change] in said


def test_what_is_learned_can_be_heard_seen_and_run(tmp_path: Path) -> None:
    hear = load_script()
    own = [*SMALL, "layers.reverb.delays=[9.2, 13.1, 17.7]", "train.epochs=2"]
    fac.train(SPEC, out=tmp_path / "run", overrides=own, backend="reference")
    said = hear.told(str(tmp_path / "run"), str(tmp_path / "room"))
    assert "reverberation time: room" in said
    assert (tmp_path / "room.wav").read_bytes()[:4] == b"RIFF"
    assert b"<svg" in (tmp_path / "room.svg").read_bytes()
    assert (tmp_path / "room.onnx").stat().st_size > 1000


def load_script() -> Any:
    spec = spec_from_file_location("hear", HOME / "hear.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
