"""The layers that ship. A family adds its kinds to this tuple, and nothing else in the package changes."""

from fac.layers.elementwise import DROPOUT, GELU, LEAKY_RELU, RELU, SIGMOID, TANH
from fac.layers.linear import LINEAR
from fac.layers.shapes import ADD, FLATTEN

KINDS = (LINEAR, RELU, LEAKY_RELU, TANH, SIGMOID, GELU, DROPOUT, FLATTEN, ADD)
