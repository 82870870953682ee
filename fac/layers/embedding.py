"""Whole numbers as vectors that are learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import only
from fac.program.kinds import LAST, Counterpart, Facts, LayerKind, Mode, Seen, ShapeError, State
from fac.program.program import Shape
from fac.program.tensors import Tensor
from fac.program.traits import Traits
from fac.spec.init import Init, Normal
from fac.spec.layers import ParametricLayer
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType


class Embedding(ParametricLayer):
    """A row of a table [num_embeddings, out] for each whole number: [...] -> [..., out].

    As it reads names and no amounts, it passes no error on. A `linear` head shares the table by `tie`.
    """

    kind: Literal["embedding"] = "embedding"
    other_kinds: ClassVar = {"embed": "", "wordembedding": ""}
    other_keys: ClassVar = {
        "embedding_dim": "out",
        "vocab_size": "num_embeddings",
        "input_dim": "num_embeddings",
        "output_dim": "out",
    }
    num_embeddings: Positive | None = Field(
        None,
        description="How many rows the table has; it reads the numbers from 0 to one less. Default: the `classes` of "
        "the input.",
    )
    out: Positive = Field(description="Length of a row.")
    padding_idx: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="A number that stands for nothing: zeros are read for it, so that nothing teaches its row here. "
        "Weight decay moves that row as any other, and so does a head that shares the table.",
    )
    init: Init = Field(Normal(std=1.0), description="Initial rows; under a tied head 0.02 is a usual `std`.")


def infer(layer: Embedding, name: str, inputs: Sequence[Shape]) -> Facts:
    """[...] -> [..., out]."""
    shape = only(name, inputs)
    assert layer.num_embeddings is not None
    if layer.padding_idx is not None and layer.padding_idx >= layer.num_embeddings:
        raise ShapeError(
            f"`{name}` has {layer.num_embeddings} rows, and pads with number {layer.padding_idx}",
            f"use a number up to {layer.num_embeddings - 1}",
            "padding_idx",
        )
    size = layer.num_embeddings, layer.out
    weight = Tensor(f"{name}.weight", size, layer.init, fan_in=layer.out, fan_out=layer.num_embeddings)
    return Facts((*shape, layer.out), (weight,), channels=LAST)


def forward(b: Builder, layer: Embedding, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The rows; zeros for what stands for nothing."""
    (x,) = inputs
    rows = b.emit("gather", state["weight"], x)
    if layer.padding_idx is None:
        return rows
    nothing = b.cast(b.equal(x, b.constant(layer.padding_idx)), DType.FLOAT)
    return b.mul(rows, b.reshape(b.sub(1.0, nothing), (*x.type.shape, 1)))


def from_torch(seen: Seen) -> Embedding:
    """Of `torch.nn.functional.embedding`."""
    rows, out = seen.shapes["weight"]
    padding = seen.args["padding_idx"]
    return Embedding(num_embeddings=rows, out=out, padding_idx=None if padding < 0 else padding)


TRAITS = Traits(homogeneous=True)
EMBEDDING = LayerKind(
    "embedding",
    Embedding,
    infer,
    forward,
    traits=lambda *_: TRAITS,
    classes="num_embeddings",
    counterparts=(Counterpart("aten.embedding", from_torch, "sample", ("weight",), input="indices"),),
)
