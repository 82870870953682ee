"""The layers that ship. A family adds its kinds to this tuple, and nothing else in the package changes."""

from fac.layers.attend import ATTEND, Attend
from fac.layers.attention import ATTENTION, Attention
from fac.layers.batch_norm import BatchNorm
from fac.layers.blocks import PARALLEL, RESIDUAL, SEQUENCE, Parallel, Residual, Sequence
from fac.layers.clamp import CLAMP, Clamp
from fac.layers.convolution import CONV1D, CONV2D, CONV_TRANSPOSE2D, Conv1d, Conv2d, ConvTranspose2d
from fac.layers.cutting import SLICE, Slice
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
from fac.layers.embedding import EMBEDDING, Embedding
from fac.layers.functions import FUNCTIONS, Erf, Pow, Sqrt
from fac.layers.joins import JOINS, Add, Concat, Multiply, Stack
from fac.layers.learned import LEARNED, Bias, Scale
from fac.layers.linear import LINEAR, Linear
from fac.layers.matmul import MATMUL, Matmul
from fac.layers.mlp import MLP, Mlp
from fac.layers.noise import NOISE, AlphaDropout, DropPath
from fac.layers.norms import NORMS, GroupNorm, LayerNorm, RmsNorm
from fac.layers.one_hot import ONE_HOT, OneHot
from fac.layers.pools import POOLS, AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool, MaxPool2d
from fac.layers.recurrence import RECURRENT, Gru, GruGates, Rnn, Zeros
from fac.layers.reductions import REDUCTIONS, Max, Mean
from fac.layers.repeat import REPEAT, Repeat
from fac.layers.rescaling import RESCALING, Rescaling
from fac.layers.resizing import RESIZING, Pad, Upsample
from fac.layers.rotation import ROTARY, Rotary
from fac.layers.shapes import SHAPES, Flatten, Permute, Reshape
from fac.layers.softmax import SOFTMAX, Softmax
from fac.layers.tokens import TOKENS, ClassToken, PatchEmbed, PositionalEmbedding, Select
from fac.layers.units import UNITS, Abs, Elu, Exp, Hardsigmoid, Hardswish, Selu, Silu, Softplus

__all__ = [
    "KINDS",
    "Abs",
    "AdaptiveAvgPool2d",
    "Add",
    "AlphaDropout",
    "Attend",
    "Attention",
    "AvgPool2d",
    "BatchNorm",
    "Bias",
    "Clamp",
    "ClassToken",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "DropPath",
    "Dropout",
    "Elu",
    "Embedding",
    "Erf",
    "Exp",
    "Flatten",
    "Gelu",
    "GlobalAvgPool",
    "GroupNorm",
    "Gru",
    "GruGates",
    "Hardsigmoid",
    "Hardswish",
    "LayerNorm",
    "LeakyRelu",
    "Linear",
    "Matmul",
    "Max",
    "MaxPool2d",
    "Mean",
    "Mlp",
    "Multiply",
    "OneHot",
    "Pad",
    "Parallel",
    "PatchEmbed",
    "Permute",
    "PositionalEmbedding",
    "Pow",
    "Relu",
    "Repeat",
    "Rescaling",
    "Reshape",
    "Residual",
    "RmsNorm",
    "Rnn",
    "Rotary",
    "Scale",
    "Select",
    "Selu",
    "Sequence",
    "Sigmoid",
    "Silu",
    "Slice",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Stack",
    "Tanh",
    "Upsample",
    "Zeros",
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
    *FUNCTIONS,
    RESCALING,
    CLAMP,
    SOFTMAX,
    DROPOUT,
    *POOLS,
    *RESIZING,
    *REDUCTIONS,
    *SHAPES,
    SLICE,
    ONE_HOT,
    EMBEDDING,
    *JOINS,
    MATMUL,
    *NORMS,
    *LEARNED,
    *NOISE,
    *TOKENS,
    ROTARY,
    ATTEND,
    ATTENTION,
    MLP,
    *RECURRENT,
    SEQUENCE,
    RESIDUAL,
    REPEAT,
    PARALLEL,
)
