"""The layers that ship. A family adds its kinds to this tuple, and nothing else in the package changes."""

from fac.layers.batch_norm import BatchNorm
from fac.layers.blocks import PARALLEL, REPEAT, RESIDUAL, SEQUENCE, Parallel, Repeat, Residual, Sequence
from fac.layers.convolution import CONV1D, CONV2D, CONV_TRANSPOSE2D, Conv1d, Conv2d, ConvTranspose2d
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
from fac.layers.joins import JOINS, Add, Concat, Multiply
from fac.layers.linear import LINEAR, Linear
from fac.layers.noise import NOISE, AlphaDropout, DropPath
from fac.layers.norms import NORMS, GroupNorm, LayerNorm, RmsNorm
from fac.layers.pools import POOLS, AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool, MaxPool2d
from fac.layers.reductions import REDUCTIONS, Max, Mean
from fac.layers.resizing import RESIZING, Pad, Upsample
from fac.layers.shapes import SHAPES, Flatten, Permute, Reshape
from fac.layers.softmax import SOFTMAX, Softmax
from fac.layers.units import UNITS, Elu, Hardsigmoid, Hardswish, Selu, Silu, Softplus

__all__ = [
    "KINDS",
    "AdaptiveAvgPool2d",
    "Add",
    "AlphaDropout",
    "AvgPool2d",
    "BatchNorm",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "DropPath",
    "Dropout",
    "Elu",
    "Flatten",
    "Gelu",
    "GlobalAvgPool",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "LayerNorm",
    "LeakyRelu",
    "Linear",
    "Max",
    "MaxPool2d",
    "Mean",
    "Multiply",
    "Pad",
    "Parallel",
    "Permute",
    "Relu",
    "Repeat",
    "Reshape",
    "Residual",
    "RmsNorm",
    "Selu",
    "Sequence",
    "Sigmoid",
    "Silu",
    "Softmax",
    "Softplus",
    "Tanh",
    "Upsample",
]

KINDS = (
    LINEAR,
    CONV2D,
    CONV1D,
    CONV_TRANSPOSE2D,
    RELU,
    LEAKY_RELU,
    TANH,
    SIGMOID,
    GELU,
    *UNITS,
    SOFTMAX,
    DROPOUT,
    *POOLS,
    *RESIZING,
    *REDUCTIONS,
    *SHAPES,
    *JOINS,
    *NORMS,
    *NOISE,
    SEQUENCE,
    RESIDUAL,
    REPEAT,
    PARALLEL,
)
