"""Multi-head attention: projections, and between them tokens that look at each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from fac.layers.attend import Attend, Heads, even, shared
from fac.layers.blocks import Block
from fac.layers.inputs import divided, tokens
from fac.layers.linear import Linear
from fac.program.kinds import BlockKind, Inside, ShapeError
from fac.program.program import Node
from fac.spec.init import Init


class Attention(Heads, Block):
    """Multi-head attention (arXiv 1706.03762): projections, the layer `attend`, and a projection of what it makes.

    `from: [fc1, memory]` lets the tokens of `fc1` look at those of `memory`. The layers inside are `NAME.qkv`, or
    `NAME.q`, `NAME.k` and `NAME.v`, and `NAME.attend`, `NAME.proj`. Of `torch.nn.MultiheadAttention`, `in_proj_weight`
    and `in_proj_bias` are `NAME.qkv.weight` and `NAME.qkv.bias`, and `out_proj` is `NAME.proj`.
    """

    kind: Literal["attention"] = "attention"
    other_kinds: ClassVar = {"multiheadattention": "", "mha": "", "selfattention": ""}
    other_keys: ClassVar = {
        "num_heads": "heads",
        "embed_dim": "leave it out: it follows from what the block reads",
        "is_causal": "causal",
    }
    fused: bool | None = Field(
        None,
        description="Whether one layer `qkv` makes queries, keys and values. Default: yes, if all are of one layer.",
    )
    bias: bool = Field(True, description="Whether the projections have biases.")
    init: Init = Field("xavier_uniform", description="Initial weights of the projections.")

    @property
    def in_one(self) -> bool:
        """Whether there is a layer `qkv`."""
        return len(self.reads) < 2 if self.fused is None else self.fused


def attention(layer: Attention, inside: Inside) -> Iterator[Node]:
    """Projections, core, projection."""
    name, shapes = inside.name, [inside.shape(read) for read in inside.inputs]
    if len(shapes) > 2:
        raise ShapeError(
            f"`{name}` reads the layer whose tokens look and the one that they look at, not {len(shapes)}",
            "name two at most",
            "from",
        )
    shared(layer, name)
    width = layer.heads if shapes[0] is None else tokens(name, [shapes[0]])[1]
    each = divided(name, width, layer.heads, "heads")
    even(layer, name, each)
    fused = layer.in_one
    if fused and len(shapes) > 1:
        raise ShapeError(
            f"`{name}` makes queries of one layer and keys of another, which one product cannot",
            "leave `fused` out",
            "fused",
        )
    kv, queried, seen = each * layer.groups, inside.inputs[0], inside.inputs[-1]
    given: list[str] = []
    parts = (
        {"qkv": (width + 2 * kv, queried)}
        if fused
        else {"q": (width, queried), "k": (kv, seen), "v": (kv, seen)}
    )
    for part, (out, read) in parts.items():
        yield (node := inside.leaf(_projection(layer, part, out), (read,)))
        given.append(node.name)
    own = layer.model_dump(include=set(Heads.model_fields) - {"name", "from_", "mask"}, exclude_unset=True)
    core = (
        Attend(name="attend", mask=inside.beside[0], **own) if inside.beside else Attend(name="attend", **own)
    )
    yield (node := inside.leaf(core, (*given, *inside.beside)))
    yield inside.leaf(_projection(layer, "proj", width), (node.name,))


def _projection(layer: Attention, name: str, out: int) -> Linear:
    return Linear(name=name, out=out, bias=layer.bias, init=layer.init)


ATTENTION = BlockKind(
    "attention", Attention, attention, several=True, own=lambda layer: 3 if layer.in_one else 5
)
