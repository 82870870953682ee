"""Tokens that look at each other, head by head: attention without weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import divided, tokens
from fac.layers.rotation import Base, paired, turned
from fac.program.kinds import LAST, Facts, LayerKind, Mode, ShapeError, Sight, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer, Named
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Attribute, Value
from fac.step.ops.attention import Look, shared_out
from fac.step.random import bernoulli


class Heads(Layer):
    """What the core and the block have in common."""

    heads: Positive = Field(description="Into how many equal parts the channels of queries are divided.")
    kv_heads: Positive | None = Field(
        None,
        description="Fewer heads of keys and values, each for as many heads of queries in a row (grouped queries, "
        "arXiv 2305.13245). Default: `heads`.",
    )
    causal: bool = Field(False, description="Whether a token looks at itself and those before it alone.")
    rotary: Base | None = Field(
        None,
        description="Turn queries and keys by their places, as the layer `rotary` with this base does; 10000.",
    )

    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="In training each share of a token in what another one sees is dropped with this probability, or "
        "divided by one minus it.",
    )

    mask: Annotated[str | None, Named(mask=True)] = Field(
        None,
        description="An input with `mask: true`, of the shape of the tokens that are looked at: where it is 0, nobody "
        "looks. Who may look at none reads zeros.",
    )

    @property
    def groups(self) -> int:
        """How many heads of keys there are."""
        return self.kv_heads or self.heads


class Attend(Heads):
    """softmax(Q K^T / sqrt(d)) V, head by head: attention without weights (arXiv 1706.03762).

    It reads tokens [T, (heads + 2 kv_heads) d], queries, keys and values side by side; or three layers,
    queries [T, heads d], keys [S, kv_heads d] and values [S, kv_heads e], and makes [T, heads e].
    """

    kind: Literal["attend"] = "attend"
    other_kinds: ClassVar = {"scaleddotproductattention": ""}
    other_keys: ClassVar = {"is_causal": "causal", "num_heads": "heads", "dropout_p": "dropout"}


def infer(layer: Attend, name: str, inputs: Sequence[Shape]) -> Facts:
    """[T, (heads + 2 kv_heads) d], or [T, heads d], [S, kv_heads d] and [S, kv_heads e] -> [T, heads e]."""
    shared(layer, name)
    read, mask = (inputs[:-1], inputs[-1]) if layer.mask else (inputs, None)
    if len(read) not in (1, 3):
        raise ShapeError(
            f"`{name}` reads queries, keys and values, as one layer or as three, not {len(read)}",
            "name them: `from: [q, k, v]`",
            "from",
        )
    shapes = [tokens(name, [shape]) for shape in read]
    seen = shapes[-1][0]
    if mask is not None and mask != (seen,):
        raise ShapeError(
            f"`{name}` looks at {seen} tokens, and its mask `{layer.mask}` has shape {list(mask)}",
            f"a mask has one number for each token: declare it with `shape: [{seen}]`",
            "mask",
        )
    if len(shapes) == 1:
        ((t, packed),) = shapes
        width = divided(
            name, packed, layer.heads + 2 * layer.groups, "heads", "heads of queries, keys and values"
        )
        even(layer, name, width)
        # A token looks from where it stands, and is looked at where the mask lets it be.
        both = Sight(masked=True, besides=True) if layer.mask else Sight(whole=True)
        return Facts((t, layer.heads * width), channels=LAST, sights=(both,))
    (t, queries), (s, keys), (same, values) = shapes
    width = divided(name, queries, layer.heads, "heads")
    value = divided(name, values, layer.groups, "kv_heads" if layer.kv_heads else "heads")
    even(layer, name, width)
    if keys != layer.groups * width or s != same:
        found = f"queries {[t, queries]}, keys {[s, keys]} and values {[same, values]}"
        raise ShapeError(
            f"`{name}` reads {found}, with {layer.heads} heads of queries and {layer.groups} of keys",
            f"make keys [{s}, {layer.groups * width}], and as many values",
            "from",
        )
    if layer.causal and t != s:
        raise ShapeError(
            f"`{name}` is causal, and reads {t} queries and {s} keys: which of them stand before which is not said",
            "leave `causal` out",
            "causal",
        )
    looked = Sight(masked=True) if layer.mask else Sight(whole=True)
    return Facts((t, layer.heads * value), channels=LAST, sights=(None, looked, looked))


def shared(layer: Heads, name: str) -> None:
    """Refuse heads of keys that cannot be shared evenly.

    Raises:
        ShapeError: they do not divide those of queries.
    """
    if layer.heads % layer.groups:
        raise ShapeError(
            f"`{name}` has {layer.groups} heads of keys, which do not divide {layer.heads} heads of queries",
            "choose a divisor of `heads`",
            "kv_heads",
        )


def even(layer: Heads, name: str, width: int) -> None:
    """Refuse heads that cannot be turned, if they are to be.

    Raises:
        ShapeError: their channels make no pairs.
    """
    if layer.rotary is not None:
        paired(name, width, "rotary")


def attend(b: Builder, layer: Attend, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name, on parts of the one input or on the three."""
    read, mask = (inputs[:-1], inputs[-1:]) if layer.mask else (inputs, ())
    q, k, v = read if len(read) == 3 else _parts(b, layer, read[0])
    if layer.rotary is not None:
        q, k = turned(b, q, layer.heads, layer.rotary), turned(b, k, layer.groups, layer.rotary)
    given: dict[str, Attribute] = {
        "heads": layer.heads,
        "kv_heads": layer.groups,
        "causal": layer.causal,
    }
    if not layer.dropout or not mode.training or mode.step is None:
        return b.emit("attend", q, k, v, *mask, **given)
    # no kernel takes a mask of its own for each pair, so that here the products are written out
    look = Look.of(b, (q, k, v, *mask), given)
    keep = 1 - layer.dropout
    drawn = bernoulli(b, look.shares.type.shape, keep, mode.seed, mode.node, mode.step)
    kept = b.mul(look.shares, b.label(b.mul(drawn, 1 / keep), "mask"))
    return shared_out(b, kept, v, look.sizes)


def _parts(b: Builder, layer: Attend, packed: Value) -> Iterator[Value]:
    """Queries, keys and values, which lie side by side."""
    total = packed.type.shape[2]
    assert isinstance(total, int)
    width, start = total // (layer.heads + 2 * layer.groups), 0
    for heads, name in ((layer.heads, "q"), (layer.groups, "k"), (layer.groups, "v")):
        ends = (0, 0, start), (0, 0, total - start - heads * width)
        yield b.label(b.emit("crop", packed, before=ends[0], after=ends[1]), name)
        start += heads * width


def traits(layer: Attend, facts: Facts | None) -> Traits:
    """Means of values, by shares of which nothing more is known."""
    packed = facts is not None and len(facts.reads) - bool(layer.mask) == 1
    return Traits(zero=True, sign=True, parts=3 if packed else 1)


ATTEND = LayerKind("attend", Attend, infer, attend, traits=traits)
