"""Attention by products of matrices, as modules write it out, and other products of two tensors."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import nn

from fac.importing import Imported, NotImportedError, from_torch

torch.set_num_threads(1)
T, D, HEADS = 5, 8, 2
Hides = Literal["nothing", "fill", "where", "add"]


class Look(nn.Module):
    """Causal attention in the words of small language models."""

    seen: torch.Tensor

    def __init__(self, hides: Hides, kept: bool = False) -> None:
        super().__init__()
        self.qkv, self.proj, self.drop = nn.Linear(D, 3 * D), nn.Linear(D, D), nn.Dropout(0.2)
        self.register_buffer("seen", torch.tril(torch.ones(1, 1, 9, 9)), persistent=kept)
        self.hides = hides

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, d = x.shape
        q, k, v = (part.view(n, t, HEADS, -1).transpose(1, 2) for part in self.qkv(x).split(d, 2))
        z = q @ k.transpose(-2, -1) / k.size(-1) ** 0.5
        seen = self.seen[:, :, :t, :t]
        if self.hides == "fill":
            z = z.masked_fill(seen == 0, float("-inf"))
        if self.hides == "where":
            z = torch.where(seen.bool(), z, torch.full([], torch.finfo(z.dtype).min, dtype=z.dtype))
        if self.hides == "add":
            z = z + torch.full((t, t), float("-inf")).triu(1)
        y = self.drop(torch.softmax(z, -1)) @ v
        made: torch.Tensor = self.proj(y.transpose(1, 2).contiguous().view(n, t, d))
        return made


def kinds(found: Imported) -> list[str]:
    return [layer["kind"] for layer in found.spec["layers"]]


@pytest.mark.parametrize("hides", ["nothing", "fill", "where", "add"])
def test_attention_of_several_heads(hides: Hides) -> None:
    found = from_torch(Look(hides), (T, D))
    assert kinds(found) == ["linear", "attend", "linear"]
    causal = {} if hides == "nothing" else {"causal": True}
    assert found.spec["layers"][1] == {
        "kind": "attend",
        "name": "attend",
        "heads": HEADS,
        **causal,
        "dropout": 0.2,
    }


class Plain(nn.Module):
    """One head, that of a text book."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(D, D) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = torch.bmm(self.q(x), self.k(x).transpose(1, 2)) / D**0.5
        made: torch.Tensor = torch.softmax(z, -1) @ self.v(x)
        return made


class Weights(nn.Module):
    """Heads beside the batch, and weights that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.MultiheadAttention(D, HEADS, dropout=0.2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.look(x, x, x, need_weights=True)[0]
        return made


def test_attention_of_three_axes() -> None:
    assert kinds(from_torch(Plain(), (T, D))) == ["linear", "linear", "linear", "attend"]
    (block,) = from_torch(Weights(), (T, D)).spec["layers"]
    assert block["body"][1] == {"kind": "attend", "name": "attend", "heads": HEADS, "dropout": 0.2}


class Pairs(nn.Module):
    """What places have in common, and matrices beside those of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(D, D), nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, _ = x.shape
        a, b = (f(x).view(n, t, HEADS, -1).transpose(1, 2) for f in (self.a, self.b))
        flat = torch.bmm(a.reshape(n * HEADS, t, -1), b.reshape(n * HEADS, t, -1).transpose(1, 2))
        return flat.view(n, HEADS, t, t) * torch.tanh(a @ a.transpose(2, 3))


def test_products_that_are_no_attention() -> None:
    found = from_torch(Pairs(), (T, D))
    assert kinds(found).count("matmul") == 2
    assert kinds(found)[-1] == "multiply"
    assert found.proof.parameters == 4


class Turned(nn.Module):
    """Values are spread by how much others look at them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc(x)
        made: torch.Tensor = torch.softmax(h @ x.transpose(1, 2), -1).transpose(1, 2) @ x
        return made


def test_shares_that_are_turned_are_no_attention() -> None:
    found = from_torch(Turned(), (T, D))
    assert kinds(found) == ["linear", "permute", "matmul", "softmax", "permute", "matmul"]


class Odd(nn.Module):
    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.fc, self.mask = nn.Linear(D, D), mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc(x)
        z = (h @ h.transpose(1, 2)).masked_fill(self.mask, -torch.inf)
        made: torch.Tensor = torch.softmax(z, -1) @ h
        return made


@pytest.mark.parametrize(
    ("module", "need"),
    [
        (Look("fill", kept=True), "`seen` as no part of the `state_dict`"),
        (Odd(torch.eye(T, dtype=torch.bool)), "leaves later tokens out"),
    ],
    ids=["kept", "holes"],
)
def test_masks_that_are_refused(module: nn.Module, need: str) -> None:
    with pytest.raises(NotImportedError) as caught:
        from_torch(module, (T, D))
    assert need in str(caught.value)


class Misread(nn.Module):
    """Shares of which something else is made."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc(x)
        later: Any = torch.ones(T, T, dtype=torch.bool).triu(1)
        return torch.softmax((h @ h.transpose(1, 2)).masked_fill(later, -torch.inf), -1)


def test_shares_that_are_seen() -> None:
    with pytest.raises(NotImportedError, match="attention"):
        from_torch(Misread(), (T, D))
