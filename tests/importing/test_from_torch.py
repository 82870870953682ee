"""Networks of PyTorch as specs: what comes of modules, and that it computes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fac
from fac.importing import Imported, NotImportedError, from_torch, translate
from fac.importing.proof import Deviation
from fac.layers import LeakyRelu
from fac.plugins import kinds

torch.set_num_threads(1)


class Convolutional(nn.Module):
    """A norm, a skip, an activation that overwrites, a dropout, and views."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4, momentum=0.3))
        self.drop, self.head = nn.Dropout(0.25), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x)
        h = torch.relu(h + self.body(h))
        return self.head(self.drop(h.flatten(1)))  # type: ignore[no-any-return]


def imported(module: nn.Module, *shape: int, **settings: Any) -> Imported:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return from_torch(module, shape, **settings)


def layers(found: Imported) -> list[dict[str, Any]]:
    return [*found.spec["layers"]]


def test_a_convolutional_network() -> None:
    module = Convolutional()
    found = imported(module, 2, 4, 4)
    assert layers(found) == [
        {
            "kind": "sequence",
            "name": "stem",
            "body": [
                {"kind": "conv2d", "name": "0", "out": 4, "kernel": 3, "padding": 1, "bias": False},
                {"kind": "batch_norm", "name": "1"},
                {"kind": "relu", "name": "2"},
                {"kind": "max_pool2d", "name": "3", "kernel": 2},
            ],
        },
        {
            "kind": "sequence",
            "name": "body",
            "body": [
                {"kind": "conv2d", "name": "0", "out": 4, "kernel": 3, "padding": 1, "groups": 2},
                {"kind": "batch_norm", "name": "1", "momentum": 0.3},
            ],
        },
        {"kind": "add", "name": "add", "from": ["stem", "body"]},
        {"kind": "relu", "name": "relu"},
        {"kind": "dropout", "name": "drop", "rate": 0.25},
        {"kind": "flatten", "name": "flatten"},
        {"kind": "linear", "name": "head", "out": 3},
    ]
    kept = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert found.state.keys() == kept.keys()
    assert all(np.array_equal(found.state[key], value.numpy()) for key, value in kept.items())
    assert found.proof.parameters == len([*module.parameters()])
    assert found.proof.parts.keys() == {"evaluation", "training", "gradients", "averages"}


def test_the_session_computes_what_the_module_does() -> None:
    """Not by the proof, but by what a user would do."""
    module = Convolutional()
    found = imported(module, 2, 4, 4)
    session = fac.compile(found.spec, "reference", "float64").open(found.state, derive=True)
    x = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        wanted = module.double().eval()(x).numpy()
    assert np.abs(session.forward(x.numpy()) - wanted).max() < 1e-13


def test_a_module_stays_as_it_is() -> None:
    module = Convolutional().eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    from_torch(module, (2, 4, 4))
    assert not module.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(parameter.dtype is torch.float32 for parameter in module.parameters())


class Scaled(nn.Module):
    """What no layers say, in three places."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.sort = nn.Linear(4, 4), nn.Softshrink()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = torch.cumsum(x, 1) + self.sort(x) + torch.sin(self.fc(x))
        return made


def test_all_that_cannot_be_said_is_listed() -> None:
    with pytest.raises(NotImportedError) as caught:
        from_torch(Scaled(), (4,))
    places = [(item.module, item.type, item.op) for item in caught.value.refused]
    assert places == [
        ("", "Scaled", "aten.cumsum"),
        ("sort", "Softshrink", "aten.softshrink"),
        ("", "Scaled", "aten.sin"),
    ]
    assert all(
        line in str(caught.value) for line in ("`sort` (Softshrink), `aten.softshrink`", "`aten.cumsum`")
    )


def test_a_network_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof can fail: of a leaky unit that comes out as one with another slope."""
    found = dict(translate.counterparts())
    (leaky,) = found["aten.leaky_relu"]
    other = replace(leaky, layer=lambda _: LeakyRelu(slope=0.5))
    monkeypatch.setattr(translate, "counterparts", lambda: found | {"aten.leaky_relu": (other,)})
    with pytest.raises(fac.FacError, match="in evaluation the network deviates from the module"):
        from_torch(nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(0.01)), (4,))


def test_a_head_that_begins_at_zero_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(translate.counterparts())
    (leaky,) = found["aten.leaky_relu"]
    other = replace(leaky, layer=lambda _: LeakyRelu(slope=0.5))
    monkeypatch.setattr(translate, "counterparts", lambda: found | {"aten.leaky_relu": (other,)})
    head = nn.Linear(4, 2)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    module = nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(0.01), head)
    with pytest.raises(fac.FacError, match="the network deviates from the module"):
        from_torch(module, (4,))


class Odd(nn.Module):
    """Dropout that acts in evaluation too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dropped: torch.Tensor = nn.functional.dropout(x, 0.5, training=True)
        return dropped


class Idle(nn.Module):
    """A parameter that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.spare = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)  # type: ignore[no-any-return]


class Asking(nn.Module):
    """What it computes depends on the data."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Whole(nn.Module):
    """A parameter of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.zeros(3, dtype=torch.int64), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.steps


class Looking(nn.Module):
    """It overwrites memory that a view still reads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(x)
        view = h.view(-1, 2, 2)
        h.relu_()
        return view.flatten(1)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Odd(), "the same in training and in evaluation"),
        (Idle(), "`spare.weight`, `spare.bias`; leave them out"),
        (Asking(), "there is a condition on such numbers"),
        (Whole(), "`steps` (int64)"),
        (Looking(), "overwrites memory"),
        (nn.Linear(3, 3), "fails on a batch [3, 4]"),
        (nn.BatchNorm1d(4, momentum=None), "cannot be traced in train mode"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refused_modules(module: nn.Module, said: str) -> None:
    with pytest.raises(fac.FacError) as caught:
        from_torch(module, (4,))
    assert said in str(caught.value)


def test_what_is_no_module() -> None:
    with pytest.raises(fac.FacError, match="this is a `dict`"):
        from_torch({}, (4,))


@pytest.mark.parametrize(("largest", "close"), [(1e-12, True), (1e-9, False), (float("nan"), False)])
def test_a_deviation_is_rounding_or_not(largest: float, close: bool) -> None:
    assert Deviation(largest, 1.0).close is close


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


OPERATIONS: Mapping[str, tuple[nn.Module, tuple[int, ...]]] = {
    "relu": (nn.ReLU(), (4,)),
    "leaky_relu": (nn.LeakyReLU(0.2), (4,)),
    "tanh": (nn.Tanh(), (4,)),
    "sigmoid": (nn.Sigmoid(), (4,)),
    "gelu": (nn.GELU(), (4,)),
    "silu": (nn.SiLU(inplace=True), (4,)),
    "elu": (nn.ELU(0.7), (4,)),
    "selu": (nn.SELU(), (4,)),
    "softplus": (nn.Softplus(2), (4,)),
    "hardsigmoid": (nn.Hardsigmoid(), (4,)),
    "hardswish": (nn.Hardswish(), (4,)),
    "abs": (Applied(torch.abs), (4,)),
    "exp": (Applied(torch.exp), (4,)),
    "erf": (Applied(torch.erf), (4,)),
    "pow": (Applied(lambda x: x.pow(3)), (4,)),
    "sqrt": (Applied(lambda x: torch.sqrt(torch.sigmoid(x))), (4,)),
    "clamp": (nn.Hardtanh(-0.3, 0.4), (4,)),
    "softmax": (nn.Softmax(1), (3, 4)),
    "dropout": (nn.Dropout(inplace=True), (4,)),
    "linear": (nn.Linear(4, 3, bias=False), (5, 4)),
    "conv2d": (nn.Conv2d(2, 4, (3, 1), (2, 1), (1, 0), (1, 2), 2), (2, 7, 5)),
    "conv1d": (nn.Conv1d(2, 4, 3, 2, "valid"), (2, 7)),
    "conv_transpose2d": (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), (4, 3, 3)),
    "batch_norm": (nn.BatchNorm1d(4, eps=1e-3), (4,)),
    "layer_norm": (nn.LayerNorm((2, 4), bias=False), (3, 2, 4)),
    "rms_norm": (nn.RMSNorm(4, eps=1e-6), (3, 4)),
    "group_norm": (nn.GroupNorm(2, 4), (4, 3, 3)),
    "max_pool2d": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 5, 6)),
    "avg_pool2d": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 6, 5)),
    "adaptive_avg_pool2d": (nn.AdaptiveAvgPool2d(2), (2, 5, 5)),
    "pad": (nn.ZeroPad2d((1, 0, 2, 1)), (2, 3, 3)),
    "upsample": (nn.Upsample(scale_factor=(2, 3), mode="bilinear"), (2, 3, 3)),
}
"""By the kind of layer that comes of it."""


def test_operations_that_are_layers() -> None:
    """Each behind a layer that learns; the proof compares outputs and gradients with autograd's."""
    for kind, (module, shape) in OPERATIONS.items():
        found = imported(nn.Sequential(nn.Linear(shape[-1], shape[-1]), module), *shape)
        first, *_, last = (layer["kind"] for layer in layers(found))
        assert (first, last) == ("linear", kind)
        assert found.proof.parameters == 2 + len([*module.parameters()]), kind


def test_every_counterpart_is_tried() -> None:
    told = {kind.name for kind in kinds("fac.layers") if getattr(kind, "counterparts", ())}
    assert told == {*OPERATIONS, "embedding"}
    # maps are made larger by two operations that are one kind, there are three words for limits, and four for powers
    assert len(translate.counterparts()) == len(told) + 6


def test_maps_that_are_made_larger() -> None:
    found = imported(nn.Sequential(nn.Conv2d(2, 2, 1), nn.Upsample((6, 6))), 2, 3, 3)
    assert layers(found)[1] == {"kind": "upsample", "name": "1", "scale_factor": 2}
    with pytest.raises(NotImportedError, match="multiplied by whole numbers"):
        imported(nn.Sequential(nn.Conv2d(2, 2, 1), nn.Upsample((5, 6))), 2, 3, 3)


def test_words() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(9, 4), nn.Linear(4, 9)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.table(x))  # type: ignore[no-any-return]

    found = imported(Words(), 5, classes=9)
    assert found.spec["input"] == {"shape": [5], "classes": 9}
    assert layers(found)[0] == {"kind": "embedding", "name": "table", "num_embeddings": 9, "out": 4}


class Twice(nn.Module):
    """One module that is called twice, beside two that keep what they have."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm, self.still, self.head = (
            nn.Linear(4, 4),
            nn.BatchNorm1d(4),
            nn.Linear(4, 4),
            nn.Linear(4, 2),
        )
        self.still.requires_grad_(False)
        self.norm.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.head(self.norm(self.still(self.fc(torch.tanh(self.fc(x))))))
        return made


def test_arrays_that_are_shared_or_stay() -> None:
    found = imported(Twice(), 4)
    assert layers(found) == [
        {"kind": "linear", "name": "fc", "out": 4},
        {"kind": "tanh", "name": "tanh"},
        {"kind": "linear", "name": "fc_again", "tie": "fc", "out": 4},
        {"kind": "linear", "name": "still", "trainable": False, "out": 4},
        {"kind": "batch_norm", "name": "norm", "trainable": False, "moments": "batch"},
        {"kind": "linear", "name": "head", "out": 2},
    ]
    assert found.proof.parameters == 4
    assert "fc_again.weight" not in found.state


class Formula(nn.Module):
    """Sums, differences and quotients of tensors, numbers, a parameter and a buffer."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]))
        self.fc, self.shift = nn.Linear(3, 3), nn.Parameter(torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h: torch.Tensor = self.fc(x - self.mean)
        return h / (1 + h.square()) - self.shift + 3 / (2 + torch.sigmoid(h)) + h * x


def test_a_formula() -> None:
    """Whatever it is spelled out in, its arrays stay as they are."""
    module = Formula()
    found = imported(module, 3)
    assert {layer["kind"] for layer in layers(found)} == {
        *("rescaling", "bias", "linear", "pow", "multiply", "sigmoid", "add"),
    }
    assert np.array_equal(found.state["mean.weight"], module.mean.numpy())
    assert found.proof.parameters == 3


class Divided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / self.by


REFUSED: Mapping[str, tuple[nn.Module, tuple[int, ...]]] = {
    "a power whose exponent is one number": (Applied(lambda x: torch.pow(x.abs(), x)), (4,)),
    "let `0.by` hold what divided by it does": (Divided(), (4,)),
    "track_running_stats=True": (nn.BatchNorm1d(4, track_running_stats=False), (4,)),
    "an `eps` that is a number": (nn.RMSNorm(4), (4,)),
    "`dilation=1`": (nn.MaxPool2d(2, dilation=2), (2, 5, 5)),
    "another divisor": (nn.AvgPool2d(2, divisor_override=3), (2, 4, 4)),
    "a layer that does not mix samples": (nn.Softmax(0), (4,)),
}
"""By what would be needed."""


def test_settings_that_no_layer_has() -> None:
    for need, (module, shape) in REFUSED.items():
        with pytest.raises(NotImportedError) as caught:
            imported(nn.Sequential(module), *shape)
        assert need in str(caught.value)


def test_a_batch_says_the_shape_of_a_sample() -> None:
    module = nn.Linear(3, 2)
    assert from_torch(module, torch.zeros(5, 3)).spec == from_torch(module, (3,)).spec
    for sample, message in (
        (3, "is a batch that the module reads"),
        ("3", "is a batch that the module reads"),
        ((0,), "is a batch that the module reads"),
        (torch.zeros(3), r"has shape \[3\]: give a batch"),
        (torch.zeros(5, 3, dtype=torch.int64), "`classes=N`"),
        (
            (torch.zeros(5, 3), torch.zeros(5, 2)),
            "is a `tuple` of tensors, and a network is imported with one",
        ),
        ({"x": torch.zeros(5, 3)}, "is a `dict` of tensors, and a network is imported with one"),
    ):
        with pytest.raises(fac.FacError, match=message):
            from_torch(module, sample)


def test_a_number_that_fills_up_reads_zeros() -> None:
    """Its row of zeros is left alone where a proof moves parameters."""

    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(7, 4, padding_idx=2)
            self.out = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.words(x).mean(1))  # type: ignore[no-any-return]

    found = from_torch(Bag(), (5,), classes=7)
    assert found.spec["layers"][0]["padding_idx"] == 2
    assert not found.state["words.weight"][2].any()


def test_a_layer_with_settings_that_it_cannot_have_is_in_the_list() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Dropout(1.0))
    with pytest.raises(NotImportedError, match=r"`1` \(Dropout\).*`rate` must be less than 1"):
        from_torch(module, (4,))
