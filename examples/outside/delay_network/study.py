"""What a feedback delay network is, and how it learns the response of a room (after arXiv 2404.00082)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.plugin import load
from fac.studies import Claim, Column, Lab, Measured, Row, Study, Table, every

HERE = Path(__file__).parent
SPEC = "delay_network.fac.yaml"
RATE = 8000.0
Array = NDArray[np.float64]


def impulse(samples: int) -> Array:
    """[1, T]."""
    return np.eye(1, samples)


def network(lab: Lab, seed: int, *changes: str, samples: int = 2048) -> tuple[Any, Array]:
    """A session in float64 with drawn parameters, and its response [T]."""
    changes = (f"input.shape=[{samples}]", f"data.samples={samples}", *changes)
    session = lab.open(SPEC, *changes, seed=seed, precision="float64")
    return session, session.forward(impulse(samples))[0]


def expm(a: Array) -> Array:
    """By eigenvectors: i T is Hermitian if T is skew."""
    values, vectors = np.linalg.eigh(1j * a)
    return np.asarray((vectors * np.exp(-1j * values)) @ np.conj(vectors.T)).real


def parts(
    session: Any, delays: Sequence[float], t60: float | None
) -> tuple[Array, Array, Array, Array, float]:
    """A [n, n], b, c, U and d of a session whose delays are those of the spec."""
    state = {name.rpartition(".")[2]: value for name, value in session.state().items()}
    upper = np.triu(state["skew"], 1)
    u = expm(upper - upper.T)
    loss = 1.0 if t60 is None else 10 ** (-3 / (RATE * t60))
    return u @ np.diag(loss ** np.array(delays)), state["b"], state["c"], u, float(state["d"][0])


def by_sample(a: Array, b: Array, c: Array, d: float, delays: Sequence[int], x: Array) -> tuple[Array, Array]:
    """What comes out [T], and the energy that is in the lines after each sample: one sample at a time."""
    lines = [np.zeros(m) for m in delays]
    out, energy = np.zeros(len(x)), np.zeros(len(x))
    for n, given in enumerate(x):
        s = np.array([line[n % len(line)] for line in lines])
        out[n] = c @ s + d * given
        for line, value in zip(lines, a @ s + b * given, strict=True):
            line[n % len(line)] = value
        energy[n] = sum(float(line @ line) for line in lines)
    return out, energy


def laws(lab: Lab, seed: int) -> Measured:
    """Of drawn parameters: what the layer makes, beside the recursion sample by sample."""
    whole = (101, 127, 149, 181, 211, 241, 277, 311)
    asked = f"layers.reverb.delays={[*whole]}"
    session, h = network(lab, seed, asked, "layers.reverb.t60=0.5")
    a, b, c, u, d = parts(session, whole, 0.5)
    plain, _ = by_sample(a, b, c, d, whole, impulse(len(h))[0])
    _, energy = by_sample(u, b, c, d, whole, impulse(len(h))[0])
    lossless, kept = network(lab, seed, asked, "layers.reverb.t60=null")
    free, _ = by_sample(*parts(lossless, whole, None)[:3], d, whole, impulse(len(h))[0])
    return Measured(
        {
            "orthogonal": float(np.abs(u.T @ u - np.eye(len(u))).max()),
            "lossless": float(np.abs(energy / (b @ b) - 1).max()),
            "response": float(np.abs(h - plain).max()),
            "free": float(np.abs(kept - free).max()),
        }
    )


def measures(lab: Lab, seed: int) -> Measured:
    """Of signals that are known."""
    room = load(HERE / "room.py")
    rng = np.random.default_rng(seed)
    noise, pulses = rng.standard_normal(16_000), np.zeros(16_000)
    pulses[::400] = 1
    _, h = network(lab, seed, "layers.reverb.t60=0.5", samples=8192)
    return Measured(
        {
            "noise": float(room.counted(noise)[400:-400].mean()),
            "pulses": float(room.counted(pulses)[400:-400].mean()),
            "t60": room.reverberation(h, RATE, low=-60.0, high=-10.0),
        }
    )


def learned(lab: Lab, seed: int, epochs: int) -> Measured:
    """A room of this seed: losses before and after, and its reverberation time beside the network's."""
    room = load(HERE / "room.py")
    training = lab.train(SPEC, f"train.epochs={epochs}", f"data.seed={seed}", seed=seed)
    curves = training.measured.curves
    found = training.session.forward(impulse(4096).astype(np.float32))[0].astype(np.float64)
    wanted = lab.data(SPEC, f"data.seed={seed}").train.y[0].astype(np.float64)
    times = [room.reverberation(h, RATE) for h in (wanted, found)]
    return Measured(
        {
            "decay": curves["train.decay.loss"][0] / curves["train.decay.loss"][-1],
            "density": curves["train.density.loss"][0] / curves["train.density.loss"][-1],
            "room": times[0],
            "network": times[1],
            "apart": abs(times[1] / times[0] - 1),
        },
        curves,
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    for name in ("delay_network.py", "room.py"):
        load(HERE / name)
    seeds, epochs = (1, 40) if short else (3, 300)
    return (
        Table(
            "What the network is",
            [Row("eight lines", laws, 1 if short else 5)],
            (
                Column("UᵀU from 1", "orthogonal", ".0e"),
                Column("energy without loss", "lossless", ".0e"),
                Column("response, from sample by sample", "response", ".0e"),
                Column("the same without loss", "free", ".0e"),
            ),
            [
                every("U is orthogonal to 1e-12", ["eight lines"], "orthogonal", 0, 1e-12),
                every(
                    "without loss the energy in the lines stays, to 1e-10",
                    ["eight lines"],
                    "lossless",
                    0,
                    1e-10,
                ),
                every(
                    "blocks make what single samples make, to 1e-12", ["eight lines"], "response", 0, 1e-12
                ),
                every("also without loss", ["eight lines"], "free", 0, 1e-12),
            ],
            says="Drawn parameters and whole delays, float64: differences from the recursion, sample by sample.",
        ),
        Table(
            "What is measured of a response",
            [Row("known signals", measures, seeds)],
            (
                Column("echo density of noise", "noise", ".3f"),
                Column("of a pulse each .05 s", "pulses", ".3f"),
                Column("T60 of a network of .5 s", "t60", ".3f"),
            ),
            [
                every("Gaussian noise has density 1 ± 0.05", ["known signals"], "noise", 0.95, 1.05),
                every("single pulses have hardly any", ["known signals"], "pulses", 0, 0.05),
                every(
                    "of .500 s that are asked for .497 ± .005 are fitted",
                    ["known signals"],
                    "t60",
                    0.492,
                    0.502,
                ),
            ],
            says="The time is of a line through the decay from -10 to -60 dB.",
        ),
        Table(
            "Learning a room",
            [Row("from a delay network of .2 s", partial(learned, epochs=epochs), seeds)],
            (
                Column("decay loss, before / after", "decay", ".0f"),
                Column("density loss, before / after", "density", ".1f"),
                Column("T60 of the room", "room", ".3f"),
                Column("of the network", "network", ".3f"),
            ),
            learning(short),
            says=f"{epochs} steps of Adam; each seed has a room and initial parameters of its own.",
            curves=("train.decay.loss", "train.density.loss"),
        ),
    )


def learning(short: bool) -> Sequence[Claim]:
    """What is claimed of it; a short training gets less far."""
    row = ["from a delay network of .2 s"]
    if short:
        return [every("the decay loss falls to a third", row, "decay", 3)]
    return [
        every("the decay loss falls by 10 and more", row, "decay", 10),
        every("so does that of echo density", row, "density", 10),
        every("the reverberation time is the room's within 5 %", row, "apart", 0, 0.05),
    ]


STUDY = Study(
    "A delay network learns a room",
    "After Alessandro Ilic Mezza, Riccardo Giampiccolo, Enzo De Sena and Alberto Bernardini, arXiv 2404.00082; the "
    "rooms are ours.",
    tables,
)
