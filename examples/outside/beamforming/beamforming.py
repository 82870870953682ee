"""beamforming.py: compressed beamforming feedback of IEEE 802.11 as data, and how it is read back as a layer.

A station that hears a transmitter of three antennas sends back, for each sub-carrier, a matrix V [3, 2] with
orthonormal columns, as six quantised angles. That "feedback matrix" is the input of a network here, which tells from it
who transmits (DeepCSI, arXiv 2204.07614); it carries no error to any layer. Transmitters and channels are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fac.plugin import (
    Builder,
    Data,
    DataFacts,
    DataKind,
    Dataset,
    FacError,
    Facts,
    Layer,
    LayerKind,
    Mode,
    Shape,
    ShapeError,
    Split,
    State,
    Value,
)

Array = NDArray[np.float64]
Matrices = NDArray[np.complex128]
ANTENNAS, STREAMS, ANGLES = 3, 2, 6
PHI, PSI = (0, 1, 4), (2, 3, 5)
"""Places of the two kinds in (phi11, phi21, psi21, psi31, phi22, psi32), the order of the standard."""
BITS = ((9, 7), (7, 5), (6, 4), (4, 2))
"""Of phi and psi: the codebooks of the standard, for several users and for one."""
SPACING, TAPS, DELAY = 312_500.0, 8, 50e-9
"""Hz from one sub-carrier to the next; echoes of a channel, and seconds from one to the next."""
POSITIONS = 9


# -- angles ---------------------------------------------------------------------------------------------------------


def rotated(v: Matrices, i: int, other: int, psi: Array) -> None:
    """G(psi) V in place: rows i and `other` of V [..., 3, columns]."""
    c, s = np.cos(psi)[..., None], np.sin(psi)[..., None]
    v[..., i, :], v[..., other, :] = (
        c * v[..., i, :] + s * v[..., other, :],
        c * v[..., other, :] - s * v[..., i, :],
    )


def compressed(v: Matrices) -> Array:
    """The angles [..., 6] of V [..., 3, 2]: phi in [0, 2 pi), psi in [0, pi / 2]. Phases of whole columns are lost."""
    v = v * np.exp(-1j * np.angle(v[..., -1:, :]))
    found = np.empty((*v.shape[:-2], ANGLES))
    for i, (phis, psis) in enumerate((((0, 1), (2, 3)), ((4,), (5,)))):
        for row, at in enumerate(phis, i):
            found[..., at] = np.angle(v[..., row, i]) % (2 * np.pi)
            v[..., row, :] *= np.exp(-1j * found[..., at])[..., None]
        for row, at in enumerate(psis, i + 1):
            found[..., at] = np.arctan2(v[..., row, i].real, v[..., i, i].real)
            rotated(v, i, row, found[..., at])
    return found


def expanded(angles: Array) -> Matrices:
    """V~ [..., 3, 2] of angles [..., 6]: D1 G21^T G31^T D2 G32^T I, its last row real and not negative.

    Raises:
        FacError: an angle is out of range.
    """
    for places, most, kind in ((PHI, 2 * np.pi, "phi"), (PSI, np.pi / 2, "psi")):
        part = angles[..., places]
        if not ((part >= 0) & (part <= most)).all():
            raise FacError(
                f"an angle {kind} is out of range: there are {part.min():.4g} to {part.max():.4g}, and it goes from "
                f"0 to {most:.4g}"
            )
    v = np.zeros((*angles.shape[:-1], ANTENNAS, STREAMS), np.complex128)
    v[..., 0, 0] = v[..., 1, 1] = 1
    rotated(v, 1, 2, -angles[..., 5])
    v[..., 1, :] *= np.exp(1j * angles[..., 4])[..., None]
    rotated(v, 0, 2, -angles[..., 3])
    rotated(v, 0, 1, -angles[..., 2])
    v[..., :2, :] *= np.exp(1j * angles[..., :2])[..., None]
    return v


def quantised(angles: Array, bits: tuple[int, int]) -> Array:
    """The numbers k [..., 6] that are sent: phi = pi (1 / 2^b + k / 2^(b-1)), psi = pi (1 / 2^(b+2) + k / 2^(b+1))."""
    found = np.empty_like(angles)
    phi, psi = bits
    found[..., PHI] = np.round((angles[..., PHI] / np.pi - 2.0**-phi) * 2 ** (phi - 1)) % 2**phi
    k = np.round((angles[..., PSI] / np.pi - 2.0 ** -(psi + 2)) * 2 ** (psi + 1))
    found[..., PSI] = np.clip(k, 0, 2**psi - 1)
    return found


def scale(bits: tuple[int, int]) -> tuple[Array, Array]:
    """What an angle is by its number k: offset + step k, each [6]."""
    phi, psi = (np.pi / 2.0**b for b in bits)
    isphi = np.isin(np.arange(ANGLES), PHI)
    return np.where(isphi, phi, psi / 4), np.where(isphi, 2 * phi, psi / 2)


# -- the layer ------------------------------------------------------------------------------------------------------


def _codebook(bits: tuple[int, int]) -> tuple[int, int]:
    if bits not in BITS:
        known = ", ".join(f"[{phi}, {psi}]" for phi, psi in BITS)
        raise ValueError(
            f"angles of {bits[0]} and {bits[1]} bits are in no codebook of the standard: {known}"
        )
    return bits


class BeamformingMatrix(Layer):
    """Numbers of angles [6, 1, K] to one column of V~ [5, 1, K]: real parts of three antennas, imaginary of two.

    The last row of V~ is real.
    """

    kind: Literal["beamforming_matrix"] = "beamforming_matrix"
    bits: tuple[int, int] = Field((9, 7), description="Of each phi and psi.")
    column: Annotated[int, Field(ge=1, le=STREAMS)] = Field(1, description="Which stream.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        _codebook(self.bits)
        return self


def inferred(layer: BeamformingMatrix, name: str, inputs: Sequence[Shape]) -> Facts:
    """Of a row of sub-carriers."""
    if len(inputs) != 1 or len(inputs[0]) != 3 or inputs[0][:2] != (ANGLES, 1):
        raise ShapeError(
            f"`{name}` reads six angles of each sub-carrier",
            "write `input: {shape: [6, 1, 234]}`, or 110 or 54",
        )
    return Facts((2 * ANTENNAS - 1, 1, inputs[0][2]), channels=0, axes=(None, 1, 2))


def matrix(b: Builder, layer: BeamformingMatrix, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The products of `expanded`, number by number."""
    offset, step = (b.array(part[:, None, None]) for part in scale(layer.bits))
    angles = b.add(b.mul(inputs[0], step), offset)
    cos, sin = b.emit("cos", angles), b.emit("sin", angles)

    def at(of: Value, place: int) -> Value:
        return b.crop(of, (0, place, 0, 0), (0, ANGLES - 1 - place, 0, 0))

    (c11, s11), (c21, s21), (c22, s22) = ((at(cos, place), at(sin, place)) for place in PHI)
    (p21, q21), (p31, q31), (p32, q32) = ((at(cos, place), at(sin, place)) for place in PSI)
    if layer.column == 1:
        top, middle, last = b.mul(p21, p31), b.mul(q21, p31), q31
        parts = [(b.mul(top, c11), b.mul(top, s11)), (b.mul(middle, c21), b.mul(middle, s21))]
    else:
        # G21^T G31^T (0, e^(j phi22) cos psi32, sin psi32)
        down = b.mul(q31, q32)
        y = (b.mul(c22, p32), b.mul(s22, p32))
        first = (b.neg(b.add(b.mul(p21, down), b.mul(q21, y[0]))), b.neg(b.mul(q21, y[1])))
        second = (b.sub(b.mul(p21, y[0]), b.mul(q21, down)), b.mul(p21, y[1]))
        last = b.mul(p31, q32)
        parts = [turned(b, first, (c11, s11)), turned(b, second, (c21, s21))]
    return b.concat(parts[0][0], parts[1][0], last, parts[0][1], parts[1][1], axis=1)


def turned(b: Builder, z: tuple[Value, Value], by: tuple[Value, Value]) -> tuple[Value, Value]:
    """The product of two complex numbers."""
    return (
        b.sub(b.mul(z[0], by[0]), b.mul(z[1], by[1])),
        b.add(b.mul(z[0], by[1]), b.mul(z[1], by[0])),
    )


# -- samples --------------------------------------------------------------------------------------------------------


class Beamforming(Data):
    """Numbers of quantised angles [6, 1, K] of drawn transmitters, and which of them it was.

    Each transmitter has a ripple of its own, a factor for each antenna and sub-carrier that stays. The channel [2, 3]
    of a frame has echoes whose gains are partly those of the position of the station and partly Rayleigh, new in each
    frame. V are the right singular vectors of channel times ripple. Splits are those of the paper.
    """

    source: Literal["beamforming"] = "beamforming"
    split: Literal["all", "odd_even", "low_high", "moving"] = Field(
        "all",
        description="Test frames: `all`: later ones at the nine positions of the training; `odd_even`: at positions 2, "
        "4, 6, 8, of the training 1, 3, 5, 7, 9; `low_high`: at 6 to 9, of the training at 1 to 5; `moving`: on other "
        "ways from one position to another.",
    )
    bits: tuple[int, int] = Field((9, 7), description="Of each phi and psi.")
    sub_carriers: Literal[54, 110, 234] = Field(234, description="Of 20, 40 and 80 MHz.")
    devices: Annotated[int, Field(ge=2)] = Field(10, description="Transmitters that are told apart.")
    frames: Annotated[int, Field(ge=2)] = Field(
        50, description="Of each transmitter at each position or on each way."
    )
    ripple: Annotated[float, Field(gt=0, lt=1)] = Field(0.2, description="Its standard deviation, beside 1.")
    steady: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.8, description="Part of the power of a channel that is that of the position."
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Of ripples, positions and frames.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        _codebook(self.bits)
        return self


def normal(rng: np.random.Generator, *shape: int) -> Matrices:
    """Complex, of variance 1."""
    return np.asarray((rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / 2**0.5)


def ripples(data: Beamforming) -> Matrices:
    """[devices, 3, K]: 1 and noise, half of which changes slowly along the band."""
    rng, k = np.random.default_rng((data.seed, 0)), data.sub_carriers
    rough = normal(rng, data.devices, ANTENNAS, k)
    waves = np.exp(2j * np.pi * np.outer(np.arange(-4, 5), np.arange(k)) / k)
    slow = normal(rng, data.devices, ANTENNAS, len(waves)) @ waves / len(waves) ** 0.5
    return np.asarray(1 + data.ripple * (rough + slow) / 2**0.5)


def frames(data: Beamforming, place: Array, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Numbers of angles [n, 6, 1, K] and devices [n], of all devices at mixtures [frames, positions] of positions."""
    fixed = normal(np.random.default_rng((data.seed, 1)), POSITIONS, STREAMS, ANTENNAS, TAPS)
    n = len(place) * data.devices
    own = normal(rng, n, STREAMS, ANTENNAS, TAPS)
    at = np.tensordot(np.repeat(place, data.devices, 0), fixed, 1)
    power = np.exp(-np.arange(TAPS) / 3)
    gains = (data.steady**0.5 * at + (1 - data.steady) ** 0.5 * own) * np.sqrt(power / power.sum())
    f = SPACING * (np.arange(data.sub_carriers) - (data.sub_carriers - 1) / 2)
    echoes = np.exp(-2j * np.pi * DELAY * np.outer(np.arange(TAPS), f))
    who = np.tile(np.arange(data.devices), len(place))
    channel = (gains @ echoes) * ripples(data)[who][:, None]  # [n, 2, 3, K]
    _, _, vh = np.linalg.svd(channel.transpose(0, 3, 1, 2), full_matrices=False)
    sent = quantised(compressed(np.conj(np.swapaxes(vh, -1, -2))), data.bits)
    return np.moveaxis(sent, -1, 1)[:, :, None], who


def places(data: Beamforming, which: Sequence[int], rng: np.random.Generator) -> Array:
    """Mixtures of positions for the frames at some of them, or on the ways from each to the next; of unit power."""
    rows = np.repeat(np.eye(POSITIONS)[list(which)], data.frames, 0)
    if data.split == "moving":
        part = rng.uniform(0, np.pi / 2, (len(rows), 1))
        rows = np.cos(part) * rows + np.sin(part) * np.roll(rows, 1, 1)
    return np.asarray(rows)


def load(data: Beamforming, base: Path, precision: str) -> Dataset:
    """Training and test frames. `all` takes test frames from the same positions, another draw of the Rayleigh part."""
    train, test = {
        "all": (range(POSITIONS), range(POSITIONS)),
        "odd_even": (range(0, POSITIONS, 2), range(1, POSITIONS, 2)),
        "low_high": (range(5), range(5, POSITIONS)),
        "moving": (range(6), range(6, POSITIONS)),
    }[data.split]
    splits = []
    for number, which in ((2, train), (3, test)):
        rng = np.random.default_rng((data.seed, number))
        x, y = frames(data, places(data, which, rng), rng)
        splits.append(Split(x.astype(precision), y))
    return Dataset("beamforming", *splits)


def facts(data: Beamforming) -> DataFacts:
    """Before any is drawn."""
    at = {"all": 9, "odd_even": 5, "low_high": 5, "moving": 6}[data.split]
    return DataFacts(
        (ANGLES, 1, data.sub_carriers), data.devices, classes=True, train=at * data.devices * data.frames
    )


KINDS = (
    DataKind("beamforming", Beamforming, load, facts=facts),
    LayerKind("beamforming_matrix", BeamformingMatrix, inferred, matrix),
)
