"""Random numbers as ops: a counter-based hash of (seed, stream, step, index), equal to the bit on every backend."""

from __future__ import annotations

import zlib

from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType, Shape

MASK = 0xFFFFFFFF
MULTIPLIERS = (0x21F0AAAD, 0x735A2D97)
"""Odd and below 2**31: a product with a 32-bit number fits in a signed 64-bit integer, so no backend overflows."""
GOLDEN = 0x1E3779B9


def stream(name: str) -> int:
    """A 31-bit number for a named stream of random numbers."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


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
        shape: of the result; may depend on the batch size.
        seed: of the run.
        name: of the stream: the node's name, so that adding a layer changes no other mask.
        step: INT scalar, the number of the step.
    """
    key = b.bits("bit_and", b.emit("add", step, b.constant(stream(name))), MASK)
    key = mix(b, b.bits("bit_xor", key, seed & MASK))
    index = b.emit("mul", b.iota(shape), b.constant(GOLDEN))
    bits = mix(b, b.bits("bit_and", b.emit("add", mix(b, b.bits("bit_and", index, MASK)), key), MASK))
    result = b.label(b.bits("shift_right", bits, 8), "bits")
    b.mark("uniform_bits", {"step": step}, {"bits": result}, {"stream": stream(name), "seed": seed & MASK})
    return result


def bernoulli(b: Builder, shape: Shape, probability: float, seed: int, name: str, step: Value) -> Value:
    """FLOAT 1 with the given probability, else 0."""
    threshold = b.constant(round(probability * 2**24))
    return b.cast(b.emit("less", uniform_bits(b, shape, seed, name, step), threshold), DType.FLOAT)
