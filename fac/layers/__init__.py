"""The layers that ship. A family adds its kinds to this tuple, and nothing else in the package changes."""

from fac.layers.blocks import PARALLEL, REPEAT, RESIDUAL, SEQUENCE, Parallel, Repeat, Residual, Sequence
from fac.layers.convolution import CONV2D, Conv2d
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
from fac.layers.joins import ADD, CONCAT, Add, Concat
from fac.layers.linear import LINEAR, Linear
from fac.layers.pools import GLOBAL_AVG_POOL, MAX_POOL2D, GlobalAvgPool, MaxPool2d
from fac.layers.shapes import FLATTEN, RESHAPE, Flatten, Reshape
from fac.layers.softmax import SOFTMAX, Softmax
from fac.layers.units import UNITS, Elu, Hardsigmoid, Hardswish, Selu, Silu, Softplus

__all__ = [
    "KINDS",
    "Add",
    "Concat",
    "Conv2d",
    "Dropout",
    "Elu",
    "Flatten",
    "Gelu",
    "GlobalAvgPool",
    "Hardsigmoid",
    "Hardswish",
    "LeakyRelu",
    "Linear",
    "MaxPool2d",
    "Parallel",
    "Relu",
    "Repeat",
    "Reshape",
    "Residual",
    "Selu",
    "Sequence",
    "Sigmoid",
    "Silu",
    "Softmax",
    "Softplus",
    "Tanh",
]

KINDS = (
    LINEAR,
    CONV2D,
    RELU,
    LEAKY_RELU,
    TANH,
    SIGMOID,
    GELU,
    *UNITS,
    SOFTMAX,
    DROPOUT,
    FLATTEN,
    RESHAPE,
    ADD,
    CONCAT,
    MAX_POOL2D,
    GLOBAL_AVG_POOL,
    SEQUENCE,
    RESIDUAL,
    REPEAT,
    PARALLEL,
)
