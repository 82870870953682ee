"""room.py: responses of rooms, and what is heard of them: how energy decays, and how dense echoes are.

A source of synthetic responses, two losses, and the same measures in NumPy, for reports. Nothing here knows how a
response is made; `delay_network.py` learns one.
"""

from __future__ import annotations

from math import ceil, erfc, isqrt, log, sqrt
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fac.plugin import (
    Builder,
    Data,
    DataFacts,
    DataKind,
    Dataset,
    DType,
    Loss,
    LossKind,
    Shape,
    ShapeError,
    Split,
    Value,
)

Array = NDArray[np.float64]
Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OF_NOISE = erfc(1 / sqrt(2))
"""The share of Gaussian noise that is beyond its own deviation."""
SILENT = 1e-12
"""Energy of a window, beside that of a response of 1, below which nothing is in it."""


# -- responses ------------------------------------------------------------------------------------------------------


class Room(Data):
    """An impulse [T], and the response [T] of a room to it; the test sample is the same room at another place.

    The direct sound is followed by echoes that come thicker with the square of time, as reflections do, until each
    sample holds one: normal numbers under a decay by 60 dB in `t60` seconds. The response has energy 1.
    """

    source: Literal["room"] = "room"
    rate: Above = Field(8000.0, description="Samples of a second.")
    samples: int = Field(4096, ge=2, description="Of the response.")
    t60: Above = Field(0.5, description="Seconds in which the energy falls by 60 dB.")
    mixing: Above = Field(0.06, description="Seconds until each sample holds an echo.")
    direct: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        2.0, description="The direct sound, beside echoes of deviation 1."
    )
    seed: int = Field(0, ge=0, description="Of the echoes.")

    @model_validator(mode="after")
    def _long(self) -> Self:
        if self.mixing * self.rate < 1:
            raise ValueError(f"`mixing` is shorter than the {1 / self.rate:g} s of a sample")
        return self


def response(room: Room, number: int) -> Array:
    """[T], of energy 1."""
    rng = np.random.default_rng((room.seed, number))
    times = np.arange(room.samples) / room.rate
    echoes = rng.random(room.samples) < np.minimum(times / room.mixing, 1) ** 2
    found = np.where(echoes, rng.standard_normal(room.samples), 0) * 10 ** (-3 * times / room.t60)
    found[0] = room.direct
    size = np.linalg.norm(found)
    return np.asarray(found / size if size else found)


def load(room: Room, base: Path, precision: str) -> Dataset:
    """One sample to learn from, and one to test by."""
    x = np.zeros((1, room.samples), precision)
    x[0, 0] = 1
    train, test = (Split(x, response(room, number)[None].astype(precision)) for number in (0, 1))
    return Dataset("room", train, test)


def facts(room: Room) -> DataFacts:
    """Known before."""
    return DataFacts((room.samples,), room.samples, classes=False, train=1, within=(-1.0, 1.0))


# -- losses ---------------------------------------------------------------------------------------------------------


class EnergyDecay(Loss):
    """mean(E - F)^2 / mean(F^2), E(n) the energy of what is heard from n on, F(n) that of the target.

    With `floor` the same of their decibels 10 log10(E / F(0) + 10^(-floor / 10)): energies are those of the first
    moments nearly alone, and how long they last is told by decibels.
    """

    kind: Literal["energy_decay"] = "energy_decay"
    floor: Above | None = Field(
        None,
        description="Decibels below all energy, down to which decibels are compared; none: energies are.",
    )


class EchoDensity(Loss):
    """mean(eta - eta^)^2, eta the share of a window that is beyond its deviation, 1 in Gaussian noise.

    eta(n) = sum_t w(t) sigmoid(kappa_n (|h(n + t)| - s_n)) / erfc(1 / sqrt 2), s_n^2 = sum_t w(t) h(n + t)^2, w Hann's
    window with sum 1, h brought to energy 1, kappa growing along the response from the first to the second number of
    `sharpness`: the steeper, the nearer to a count, and the fewer samples with a derivative.
    """

    kind: Literal["echo_density"] = "echo_density"
    window: int = Field(
        161, ge=3, description="Samples of the window, an odd number: 161 are 20 ms at 8 kHz."
    )
    hop: int = Field(8, ge=1, description="Samples from one window to the next.")
    sharpness: tuple[Above, Above] = Field((1e2, 1e5), description="kappa at the start and at the end.")

    @model_validator(mode="after")
    def _centred(self) -> Self:
        if self.window % 2 == 0:
            raise ValueError(
                f"`window` has to be odd, so that it has a sample in its middle; use {self.window + 1}"
            )
        return self


def decay(b: Builder, h: Value) -> Value:
    """[N, T]: the energy from each sample on."""
    batch, length = h.type.shape
    assert isinstance(length, int)
    row = isqrt(length - 1) + 1
    rows = ceil(length / row)
    squares = b.pad(b.mul(h, h), (0, 0), (0, rows * row - length))
    here = onward(b, b.reshape(squares, (batch, 1, rows, row)))
    whole = b.reshape(b.crop(here, (0, 0, 0, 0), (0, 0, 0, row - 1)), (batch, 1, 1, rows))
    later = b.reshape(b.sub(onward(b, whole), whole), (batch, 1, rows, 1))
    return b.crop(b.reshape(b.add(here, later), (batch, rows * row)), (0, 0), (0, rows * row - length))


def onward(b: Builder, x: Value) -> Value:
    """[N, 1, h, w]: sums from each place of a row to its end."""
    width = x.type.shape[3]
    assert isinstance(width, int)
    ones = b.broadcast_to(b.constant(1.0), (1, 1, 1, width))
    settings: dict[str, Any] = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}
    return b.emit("conv2d", x, ones, padding=(0, 0, 0, width - 1), **settings)


def energy_decay(b: Builder, loss: EnergyDecay, output: Value, y: Value) -> Value:
    """The mean over samples."""
    found, wanted = decay(b, output), decay(b, y)
    if loss.floor is not None:
        length = wanted.type.shape[1]
        assert isinstance(length, int)
        whole = some(b, b.crop(wanted, (0, 0), (0, length - 1)))
        least, scale = 10 ** (-loss.floor / 10), 10 / log(10)
        found, wanted = (
            b.mul(b.emit("log", b.add(b.div(energy, whole), least)), scale) for energy in (found, wanted)
        )
    missed = b.sub(found, wanted)
    by = some(b, b.mean(b.mul(wanted, wanted), (1,)))
    return b.mean(b.div(b.mean(b.mul(missed, missed), (1,)), by), (0,))


def some(b: Builder, x: Value) -> Value:
    """X, which comes of the target and is divided by; 1 where that is silent and it is 0."""
    fixed = b.stop_gradient(x)
    return b.where(b.equal(fixed, b.constant(0.0)), 1.0, fixed)


def hann(size: int) -> Array:
    """Without the zeros at its ends, with sum 1."""
    found = np.sin(np.pi * np.arange(1, size + 1) / (size + 1)) ** 2
    return np.asarray(found / found.sum())


def density(b: Builder, loss: EchoDensity, h: Value) -> Value:
    """eta [N, places]."""
    batch, length = h.type.shape
    assert isinstance(length, int)
    size, half = loss.window, loss.window // 2
    places = ceil(length / loss.hop)
    energy = b.sum(b.mul(h, h), (1,), keep=True)
    unit = b.div(h, b.sqrt(b.add(energy, SILENT)))
    settings: dict[str, Any] = {
        "stride": (1, loss.hop),
        "padding": (0, 0, half, half),
        "dilation": (1, 1),
        "groups": 1,
    }
    shown = b.emit("unfold", b.reshape(unit, (batch, 1, 1, length)), kernel=(1, size), **settings)
    shown = b.reshape(shown, (size, batch, places))
    window = b.reshape(b.table(hann(size)), (size, 1, 1))
    spread = b.sqrt(b.add(b.sum(b.mul(b.mul(shown, shown), window), (0,)), SILENT))
    first, last = loss.sharpness
    along = b.cast(b.iota((places,)), DType.FLOAT)
    kappa = b.add(b.mul(along, (last - first) / max(places - 1, 1)), first)
    beyond = b.emit("sigmoid", b.mul(b.sub(b.abs(shown), spread), kappa))
    return b.mul(b.sum(b.mul(beyond, window), (0,)), 1 / OF_NOISE)


def echo_density(b: Builder, loss: EchoDensity, output: Value, y: Value) -> Value:
    """The mean over places and samples."""
    missed = b.sub(density(b, loss, output), density(b, loss, y))
    return b.mean(b.mul(missed, missed), (0, 1))


def signal(loss: EnergyDecay | EchoDensity, shape: Shape) -> ShapeError | None:
    """Both read a response [T]."""
    if len(shape) != 1:
        return ShapeError(f"`{loss.kind}` reads a response [T], not {list(shape)}", "end with one signal")
    if isinstance(loss, EchoDensity) and loss.window > shape[0]:
        return ShapeError(
            f"a window of {loss.window} samples is longer than a response of {shape[0]}",
            "use a shorter `window`",
            "window",
        )
    return None


# -- the same of arrays, for people ---------------------------------------------------------------------------------


def decay_db(h: Array) -> Array:
    """[T]: the energy from each sample on, in dB below all of it."""
    energy = np.cumsum(h[::-1] ** 2)[::-1]
    return np.asarray(10 * np.log10(np.maximum(energy, 1e-30) / max(float(energy[0]), 1e-30)))


def reverberation(h: Array, rate: float, low: float = -35.0, high: float = -5.0) -> float:
    """Seconds in which a line through its decay between two levels, by least squares, falls by 60 dB; NaN of none."""
    fallen = decay_db(h)
    at = np.flatnonzero((fallen <= high) & (fallen >= low))
    if len(at) < 2:
        return float("nan")
    slope = np.polyfit(at / rate, fallen[at], 1)[0]
    return float(-60 / slope)


def counted(h: Array, window: int = 161) -> Array:
    """eta [T] by counting: no sigmoid."""
    weights = hann(window)
    shown = np.lib.stride_tricks.sliding_window_view(np.pad(h, window // 2), window)
    spread = np.sqrt(shown**2 @ weights)
    return np.asarray((np.abs(shown) > spread[:, None]) @ weights / OF_NOISE)


KINDS = (
    DataKind("room", Room, load, facts=facts),
    LossKind("energy_decay", EnergyDecay, False, energy_decay, misfit=signal),
    LossKind("echo_density", EchoDensity, False, echo_density, misfit=signal),
)
