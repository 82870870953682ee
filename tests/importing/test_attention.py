"""Heads and tokens that are moved about: nothing is left of it around the core of an attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from fac.importing import Imported, NotImportedError, from_torch

torch.set_num_threads(1)


class Packed(nn.Module):
    """One layer makes queries, keys and values, as in vision transformers."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.qkv, self.proj, self.settings = nn.Linear(8, 24), nn.Linear(8, 8), settings

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = scaled_dot_product_attention(q, k, v, **self.settings)
        made: torch.Tensor = x + self.proj(y.transpose(1, 2).reshape(n, t, c))
        return made


class BatchSecond(nn.Module):
    """Tokens first, and the heads beside the batch on one axis, as `torch.nn.MultiheadAttention` has them inside."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c = x.shape
        qkv = self.qkv(x.transpose(0, 1)).unflatten(-1, (3, c)).unsqueeze(0).transpose(0, -2).squeeze(-2)
        q, k, v = (part.view(t, n * 2, 4).transpose(0, 1).view(n, 2, t, 4) for part in qkv.contiguous())
        y = scaled_dot_product_attention(q, k, v).permute(2, 0, 1, 3).reshape(t * n, c)
        made: torch.Tensor = self.proj(y).view(t, n, c).transpose(0, 1)
        return made


class Apart(nn.Module):
    """Three layers, fewer heads of keys, causal; and the tokens are averaged in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (f(x).unflatten(2, (-1, 2)).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        made: torch.Tensor = y.transpose(1, 2).flatten(2).mean(1)
        return made


class Mixer(nn.Module):
    """A layer along the tokens of a map, and channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.tokens, self.norm = nn.Conv2d(2, 3, 2, 2), nn.Linear(4, 4), nn.LayerNorm(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.patch(x).flatten(2)
        h = torch.cat([h, self.tokens(h)], 2).transpose(1, 2)
        made: torch.Tensor = self.norm(h)[:, -1]
        return made


def said(found: Imported) -> list[tuple[Any, ...]]:
    """Of each layer its kind, its name and what it reads."""
    return [(layer["kind"], layer["name"], layer.get("from")) for layer in found.spec["layers"]]


@pytest.mark.parametrize(
    "module", [Packed(), Packed(is_causal=True), Packed(scale=0.5)], ids=["plain", "causal", "scale"]
)
def test_packed(module: nn.Module) -> None:
    assert said(from_torch(module, (5, 8))) == [
        ("linear", "qkv", None),
        ("attend", "attend", None),
        ("linear", "proj", None),
        ("add", "add", ["input", "proj"]),
    ]


class Dropping(Packed):
    """It drops shares, in training alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.settings = {"dropout_p": 0.1 if self.training else 0.0}
        return super().forward(x)


def test_shares_that_are_dropped() -> None:
    found = from_torch(Dropping(), (5, 8))
    assert found.spec["layers"][1] == {"kind": "attend", "name": "attend", "heads": 2, "dropout": 0.1}


def test_another_scale_is_a_factor_of_the_queries() -> None:
    found = from_torch(Packed(scale=0.3), (5, 8))
    factor, look = found.spec["layers"][5:7]
    assert factor == {"kind": "rescaling", "name": "rescaling", "from": "select", "scale": 0.3 * 2}
    assert look["from"] == ["rescaling", "select_2", "select_3"]


def test_heads_beside_the_batch() -> None:
    assert said(from_torch(BatchSecond(), (5, 8))) == [
        ("linear", "qkv", None),
        ("attend", "attend", None),
        ("linear", "proj", None),
    ]


def test_a_mixer() -> None:
    assert said(from_torch(Mixer(), (2, 4, 4))) == [
        ("conv2d", "patch", None),
        ("reshape", "reshape", None),
        ("linear", "tokens", None),
        ("concat", "concat", ["reshape", "tokens"]),
        ("permute", "permute", None),
        ("layer_norm", "norm", None),
        ("select", "select", None),
    ]


def test_apart() -> None:
    found = from_torch(Apart(), (5, 8))
    assert said(found) == [
        ("linear", "q", None),
        ("linear", "k", "input"),
        ("linear", "v", "input"),
        ("attend", "attend", ["q", "k", "v"]),
        ("mean", "mean", None),
    ]
    assert found.spec["layers"][3] == {
        "kind": "attend",
        "name": "attend",
        "from": ["q", "k", "v"],
        "heads": 4,
        "kv_heads": 2,
        "causal": True,
    }


@pytest.mark.parametrize(
    ("settings", "need"),
    [
        ({"dropout_p": 0.1}, "drops shares in training alone"),
        ({"attn_mask": torch.ones(5, 5)}, "mask"),
    ],
)
def test_attention_that_no_layer_is(settings: dict[str, Any], need: str) -> None:
    with pytest.raises(NotImportedError) as caught:
        from_torch(Packed(**settings), (5, 8))
    assert need in str(caught.value)
