"""Arrays that no module of a layer has, or that lie otherwise: as layers, and back under the keys that they had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from fac.backend import STEP
from fac.diagnostics import Severity
from fac.importing import Imported, NotImportedError, from_torch
from fac.importing.returning import state_dict
from fac.pipeline import check, lowered

torch.set_num_threads(1)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def imported(module: nn.Module, *shape: int, **settings: Any) -> Imported:
    """With what comes back held against the module: keys, shapes and numbers, which it loads strictly."""
    found = from_torch(module, shape, **settings)
    assert not [finding for finding in check(found.spec) if finding.rule.severity is Severity.ERROR]
    state = {**found.state, STEP: np.array(0, np.int64)}
    back = state_dict(lowered(found.spec), state, "float64")
    own = module.state_dict()
    assert back.keys() == own.keys()
    assert all(np.array_equal(array, own[key].numpy()) for key, array in back.items())
    module.load_state_dict({key: torch.from_numpy(array) for key, array in back.items()}, strict=True)
    return found


def layers(found: Imported) -> list[dict[str, Any]]:
    return [*found.spec["layers"]]


class Loose(nn.Module):
    """Parameters that belong to no module which is a layer, and two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.shift, self.gain = (parameter(1, 1, 4) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        return (h + self.shift) * self.gain * 2.0 - 0.5


def test_parameters_of_no_layer() -> None:
    found = imported(Loose(), 3, 4)
    assert layers(found) == [
        {"kind": "class_token", "name": "token"},
        {"kind": "bias", "name": "shift"},
        {"kind": "scale", "name": "gain"},
        {"kind": "rescaling", "name": "rescaling", "scale": 2.0},
        {"kind": "rescaling", "name": "rescaling_2", "offset": -0.5},
    ]
    assert found.spec["state_dict"] == [
        {"array": "token.weight", "key": "token"},
        {"array": "shift.weight", "key": "shift", "shape": [1, 1, 4]},
        {"array": "gain.weight", "key": "gain", "shape": [1, 1, 4]},
    ]
    assert found.proof.parameters == 3


class Scaled(nn.Module):
    """As a block of ConvNeXt: factors of channels that stand first, of a layer that makes them last."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.layer_scale = nn.Linear(3, 3), parameter(3, 1, 1)
        self.place = parameter(3, 2, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h: torch.Tensor = self.fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + self.place + self.layer_scale * h


def test_factors_of_channels_move_no_axes() -> None:
    assert layers(imported(Scaled(), 3, 2, 5)) == [
        {"kind": "permute", "name": "permute", "axes": [1, 2, 0]},
        {"kind": "linear", "name": "fc", "out": 3},
        {"kind": "bias", "name": "place", "from": "input", "axes": [0, 1, 2]},
        {"kind": "scale", "name": "layer_scale", "from": "fc", "axes": -1},
        {"kind": "permute", "name": "permute_2", "axes": [2, 0, 1]},
        {"kind": "add", "name": "add", "from": ["place", "permute_2"]},
    ]


class Still(nn.Module):
    """A parameter that does not learn, and numbers of a buffer."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.randn(4), requires_grad=False)
        self.register_buffer("mean", torch.randn(4))
        self.fc = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc((x + self.mean) * self.gain)  # type: ignore[no-any-return]


def test_what_does_not_learn() -> None:
    bias, scale, _ = layers(imported(Still(), 4))
    assert bias == {"kind": "bias", "name": "mean", "trainable": False}
    assert scale == {"kind": "scale", "name": "gain", "trainable": False}


class Vision(nn.Module):
    """A vision transformer: a class token, a table of positions, and PyTorch's own attention."""

    def __init__(self) -> None:
        super().__init__()
        self.proj, self.class_token, self.pos = nn.Conv2d(2, 4, 2, 2), parameter(1, 1, 4), parameter(1, 5, 4)
        self.look, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.proj(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.class_token.expand(len(h), -1, -1), h], 1) + self.pos
        h = h + self.look(h, h, h, need_weights=False)[0]
        return self.head(h[:, 0])  # type: ignore[no-any-return]


def test_a_vision_transformer() -> None:
    found = imported(Vision(), 2, 4, 4)
    assert [(layer["kind"], layer["name"]) for layer in layers(found)][3:8] == [
        ("class_token", "class_token"),
        ("positional_embedding", "pos"),
        ("sequence", "look"),
        ("add", "add"),
        ("select", "select"),
    ]
    assert {"array": "look.in_proj.weight", "key": "look.in_proj_weight"} in found.spec["state_dict"]


class Turned(nn.Module):
    """Matrices [in, out]: as `Conv1D` of transformers has them, by `@`, and in its way round by `@`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias, self.w, self.v = (
            parameter(4, 6),
            parameter(6),
            parameter(6, 5),
            parameter(3, 5),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.addmm(self.bias, x.reshape(-1, 4), self.weight).view(len(x), 2, 6)
        return h.tanh() @ self.w @ self.v.t()


def test_matrices_that_are_kept_the_other_way_round() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c_fc = Turned()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c_fc(x)  # type: ignore[no-any-return]

    found = imported(Outer(), 2, 4)
    assert found.state["c_fc.weight"].shape == (6, 4)
    assert found.spec["state_dict"] == [
        {"array": "c_fc.weight", "transpose": True},
        {"array": "c_fc.w.weight", "key": "c_fc.w", "transpose": True},
        {"array": "c_fc.v.weight", "key": "c_fc.v"},
    ]


class Language(nn.Module):
    """Words and places, each of a table, and a head that has the table of words; `length` places are known."""

    mask: torch.Tensor

    def __init__(self, length: int, bias: bool = False) -> None:
        super().__init__()
        self.wte, self.wpe, self.head = nn.Embedding(7, 4), nn.Embedding(length, 4), nn.Linear(4, 7, bias)
        self.head.weight = self.wte.weight
        self.register_buffer("mask", torch.ones(length, length).tril().bool(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = x.shape[1]
        h = self.wte(x) + self.wpe(torch.arange(t)[None])
        q = h.view(len(x), t, 2, 2).transpose(1, 2)
        h = scaled_dot_product_attention(q, q, q, self.mask[:t, :t][None, None])
        return self.head(h.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("length", "bias"), [(5, False), (8, True)])
def test_a_tied_head(length: int, bias: bool) -> None:
    found = imported(Language(length, bias), 5, classes=7)
    words, places, core, head = layers(found)
    assert places["kind"] == "positional_embedding"
    assert places.get("length") == (None if length == 5 else length)
    assert core == {
        "kind": "attend",
        "name": "attend",
        "from": ["wpe", "wpe", "wpe"],
        "heads": 2,
        "causal": True,
    }
    assert head == {"kind": "linear", "name": "head", "tie": "wte", "out": 7} | (
        {} if bias else {"bias": False}
    )
    assert found.spec["state_dict"] == [{"array": "wte.weight", "key": ["wte.weight", "head.weight"]}]
    assert "head.weight" not in found.state
    assert words["kind"] == "embedding"


def test_two_layers_that_are_tied() -> None:
    module = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False))
    module[2].weight = module[0].weight
    assert layers(imported(module, 4))[2] == {
        "kind": "linear",
        "name": "2",
        "tie": "0",
        "out": 4,
        "bias": False,
    }


class Crossed(nn.Module):
    """One array as it is, and the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.fc(x)) @ self.fc.weight


@pytest.mark.parametrize("half", [True, False])
def test_arrays_that_no_layers_share(half: bool) -> None:
    """Of two layers the weight alone, and of one the transposed weight."""
    module: nn.Module = Crossed()
    if half:
        module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
        module[2].weight = module[0].weight
    with pytest.raises(NotImportedError, match=r"for itself: it is an array of `(0|fc)`, a `linear`, too"):
        from_torch(module, (4,))


class Parts(nn.Module):
    """Queries, keys and values as parts of one layer; parts of unequal size; all tokens but the first."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.fc = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unflatten(2, (2, 2)).transpose(1, 2) for part in self.qkv(x).split(4, 2))
        h = self.fc(scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        small, large = torch.split(h, [1, 2], -1)
        return large[:, 1:] * small[:, 1:]


def test_parts() -> None:
    found = imported(Parts(), 5, 4)
    assert [layer["kind"] for layer in layers(found)][:3] == ["linear", "attend", "linear"]
    cuts = [layer for layer in layers(found) if layer["kind"] == "slice"]
    assert [{key: cut[key] for key in cut if key not in ("kind", "name", "from")} for cut in cuts] == [
        {"axis": 1, "stop": 1},
        {"axis": 1, "start": 1},
        {"start": 1},
        {"start": 1},
    ]


class Numbers(nn.Module):
    """Sums, differences, products and shares with plain numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc(x)
        h = 1 - x / 4 + torch.tensor(0.5) * torch.tanh(x)
        return -(h - torch.sigmoid(x)).sub(x, alpha=2)


def test_numbers() -> None:
    kinds = [layer["kind"] for layer in layers(from_torch(Numbers(), (4,)))]
    assert kinds.count("rescaling") == 6


class Named(nn.Module):
    """Modules with names that mean something else in a spec, one of them called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.loss = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.loss(torch.tanh(self.input(torch.tanh(self.input(x)))))  # type: ignore[no-any-return]


def test_names_that_mean_something_else() -> None:
    found = imported(Named(), 4)
    named = [layer["name"] for layer in layers(found) if layer["kind"] == "linear"]
    assert named == ["input_", "input__again", "loss_"]
    assert found.spec["state_dict"][0] == {"array": "input_.weight", "key": "input.weight"}


class Refused(nn.Module):
    """By what it does with an array."""

    table: torch.Tensor

    def __init__(self, does: str) -> None:
        super().__init__()
        self.does, self.w, self.b = does, parameter(6, 4), parameter(4)
        self.register_buffer("table", torch.randn(4), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x + self.b
        match self.does:
            case "rows behind":
                return h + self.w[1:4]
            case "two tokens":
                return torch.cat([self.w[None, :2].expand(len(x), -1, -1), h], 1)
            case "behind":
                return torch.cat([h, self.w[None, :1].expand(len(x), -1, -1)], 1)
            case "divided":
                return h / self.w[:3]
            case "constants":
                return h * self.table
            case "in other order":
                return h + self.w[torch.tensor([2, 0, 1])]
            case _:
                return torch.floor_divide(h, h)


@pytest.mark.parametrize(
    ("does", "need"),
    [
        ("rows behind", "the first rows of `w`, or all"),
        ("two tokens", "`w` as one token in front of tokens"),
        ("behind", "a tensor that depends on the input"),
        ("constants", "a number for each place, which nothing learns"),
        ("in other order", "`aten.index`"),
        ("divided", "let `w` hold what divided by it does"),
        ("rounded", "`aten.floor_divide`"),
    ],
)
def test_refused(does: str, need: str) -> None:
    with pytest.raises(NotImportedError) as caught:
        from_torch(Refused(does), (3, 4))
    assert need in str(caught.value)
