"""The layers that ship. A family adds its kinds to this tuple, and nothing else in the package changes."""

from fac.layers.blocks import PARALLEL, REPEAT, RESIDUAL, SEQUENCE, Parallel, Repeat, Residual, Sequence
from fac.layers.elementwise import (
    DROPOUT,
    GELU,
    LEAKY_RELU,
    RELU,
    SIGMOID,
    TANH,
    Dropout,
    Gelu,
    LeakyRelu,
    Relu,
    Sigmoid,
    Tanh,
)
from fac.layers.linear import LINEAR, Linear
from fac.layers.shapes import ADD, FLATTEN, Add, Flatten

__all__ = [
    "KINDS",
    "Add",
    "Dropout",
    "Flatten",
    "Gelu",
    "LeakyRelu",
    "Linear",
    "Parallel",
    "Relu",
    "Repeat",
    "Residual",
    "Sequence",
    "Sigmoid",
    "Tanh",
]

KINDS = (
    LINEAR,
    RELU,
    LEAKY_RELU,
    TANH,
    SIGMOID,
    GELU,
    DROPOUT,
    FLATTEN,
    ADD,
    SEQUENCE,
    RESIDUAL,
    REPEAT,
    PARALLEL,
)
