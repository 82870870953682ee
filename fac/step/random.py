"""Random numbers as ops: a counter-based hash of (seed, stream, step, index), equal to the bit on every backend.

Each of the four is mixed before the next one joins, so that no change of one undoes a change of another. With m a
bijection of 32-bit numbers, and `low` and `high` the halves of the step:

    a, b = the first 64 bits of SHA-256 of (seed, stream)     when compiling; a seed of any size
    u = m(low ^ a)        v = m((u + high) ^ b)               two scalars per step
    bits = m(m(index + u) + v) >> 8                           per element

(u, v) is a one-to-one function of the step, so no two steps of a run have one mask, and among 2^32 steps no two share
v. Two masks that share v alone are parts of one sequence, from u and from u' on, and rarely overlapping ones. That is
an accident of 2^-32 per pair of masks of different seeds or streams; that they share both, and are one mask, of 2^-64.
The key enters in two halves at two places because 32 bits are too few: 16,000 masks (20 seeds, 200 steps, 4 layers)
would hold two equal ones with a chance of 3 %. For training, not for secrets.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType, Shape

MASK = 0xFFFFFFFF
MULTIPLIERS = (0x21F0AAAD, 0x735A2D97)
"""Odd and below 2**31: a product with a 32-bit number fits in a signed 64-bit integer, so no backend overflows."""


def key(seed: int, name: str) -> tuple[int, int]:
    """Two 32-bit numbers for a named stream of random numbers of a seed."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def mix(b: Builder, x: Value) -> Value:
    """A bijection of 32-bit numbers that flips each output bit with probability near 1/2 per input bit.

    The xor-shift-multiply scheme of integer hash functions, with multipliers small enough for int64.
    """
    for shift, multiplier in zip((16, 15), MULTIPLIERS, strict=True):
        x = b.emit("bit_xor", x, b.bits("shift_right", x, shift))
        x = b.bits("bit_and", b.emit("mul", x, b.constant(multiplier)), MASK)
    return b.emit("bit_xor", x, b.bits("shift_right", x, 15))


def uniform_bits(b: Builder, shape: Shape, seed: int, name: str, step: Value) -> Value:
    """INT in [0, 2**24), one per element of `shape`: 24 bits are exact in float32 too.

    Args:
        b: the builder.
        shape: of the result; may depend on the batch size. Elements are counted modulo 2**32: of more, which would
            take 32 GiB as INT, the first ones come again.
        seed: of the run, not negative.
        name: of the stream: the node's name, so that adding a layer changes no other mask.
        step: INT scalar, the number of the step, in [0, 2**63).
    """
    first, second = key(seed, name)
    low, high = b.bits("bit_and", step, MASK), b.bits("shift_right", step, 32)
    u = mix(b, b.bits("bit_xor", low, first))
    v = mix(b, b.bits("bit_xor", _sum(b, u, high), second))
    bits = mix(b, _sum(b, mix(b, _sum(b, b.iota(shape), u)), v))
    result = b.label(b.bits("shift_right", bits, 8), "bits")
    b.mark("uniform_bits", {"step": step}, {"bits": result}, {"first": first, "second": second})
    return result


def bernoulli(b: Builder, shape: Shape, probability: float, seed: int, name: str, step: Value) -> Value:
    """FLOAT 1 with the given probability, else 0."""
    threshold = b.constant(round(probability * 2**24))
    return b.cast(b.emit("less", uniform_bits(b, shape, seed, name, step), threshold), DType.FLOAT)


@dataclass(frozen=True, slots=True)
class Stream:
    """Random numbers under one name: others at every step, the same ones on every backend."""

    seed: int
    name: str
    number: Callable[[], Value]
    """Makes the number of the step an input of the function, when first called."""

    def uniform(self, b: Builder, shape: Shape, part: str = "") -> Value:
        """FLOAT between 0 and 1, never 0, so that it has a logarithm; equal to the bit on every backend."""
        bits = uniform_bits(b, shape, self.seed, f"{self.name}{part}", self.number())
        return b.mul(b.add(b.cast(bits, DType.FLOAT), 0.5), 2.0**-24)

    def sign(self, b: Builder, shape: Shape) -> Value:
        """FLOAT 1 or -1, each as often."""
        return b.sub(b.mul(bernoulli(b, shape, 0.5, self.seed, self.name, self.number()), 2.0), 1.0)

    def normal(self, b: Builder, shape: Shape) -> Value:
        """FLOAT, standard normal: sqrt(-2 log u) cos(2 pi v) of two uniform ones (Box and Muller 1958)."""
        u, v = self.uniform(b, shape, ".radius"), self.uniform(b, shape, ".angle")
        radius = b.sqrt(b.mul(b.emit("log", u), -2.0))
        return b.mul(radius, b.emit("cos", b.mul(v, 2 * math.pi)))


def _sum(b: Builder, x: Value, y: Value) -> Value:
    """X + y modulo 2**32."""
    return b.bits("bit_and", b.emit("add", x, y), MASK)
