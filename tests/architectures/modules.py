"""The networks of the examples as modules of PyTorch, written by hand: what a step of backpropagation is held against.

Each takes a divisor of its widths; parameters stand in the order in which the spec has its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from tests.architectures.heads import Auxiliary
from tests.architectures.transformers import Encoder, Transformer, ViT, Vowels


class Residual(nn.Module):
    """body(x) + shortcut(x)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        total: Tensor = self.body(x) + self.shortcut(x)
        return total


class Hardsigmoid(nn.Module):
    """relu6(x + 3) / 6. The backward kernel of `nn.Hardsigmoid` takes its sixth in float32, also of float64."""

    def forward(self, x: Tensor) -> Tensor:
        """Number by number."""
        return nn.functional.relu6(x + 3) / 6


class PadChannels(nn.Module):
    """Zeros for as many channels before and after those of a map."""

    def __init__(self, each: int) -> None:
        super().__init__()
        self.each = each

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C + 2 each, H, W]."""
        return nn.functional.pad(x, (0, 0, 0, 0, self.each, self.each))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W], normalised over C."""
        normed: Tensor = self.norm(x.movedim(1, -1)).movedim(-1, 1)
        return normed


class Excite(nn.Module):
    """x times what two layers make of its means: squeeze-excitation."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels), Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Every channel, weighed."""
        gate: Tensor = self.gate(x.mean((2, 3)))
        return x * gate[:, :, None, None]


class Attention(nn.Module):
    """x + x a: a a number for each place, read off mean and maximum over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, (1, 5), padding="same")

    def forward(self, x: Tensor) -> Tensor:
        """The map, weighed place by place, on top of itself."""
        a = torch.sigmoid(self.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))
        return x + x * a


class UNet(nn.Module):
    """Down twice, up twice, maps on the way down beside those on the way up."""

    def __init__(self, by: int) -> None:
        super().__init__()
        a, b, c = 16 // by, 32 // by, 64 // by
        self.down1, self.down2, self.bottom = double(1, a), double(a, b), double(b, c)
        self.up2, self.right2 = nn.ConvTranspose2d(c, b, 2, 2), double(2 * b, b)
        self.up1, self.right1 = nn.ConvTranspose2d(b, a, 2, 2), double(2 * a, a)
        self.mask = nn.Conv2d(a, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, H, W] -> as many logits."""
        pool = nn.MaxPool2d(2)
        one = self.down1(x)
        two = self.down2(pool(one))
        up = self.right2(torch.cat([two, self.up2(self.bottom(pool(two)))], 1))
        mask: Tensor = self.mask(self.right1(torch.cat([one, self.up1(up)], 1)))
        return mask


def double(reads: int, out: int) -> nn.Sequential:
    """Two convolutions with their norms."""
    return nn.Sequential(*normed(reads, out, 3), nn.ReLU(), *normed(out, out, 3), nn.ReLU())


def normed(reads: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution without bias, and its norm."""
    conv = nn.Conv2d(reads, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(out)]


def basic(reads: int, out: int, stride: int = 1, shortcut: nn.Module | None = None) -> list[nn.Module]:
    """The block of ResNet-18 and -20."""
    body = nn.Sequential(*normed(reads, out, 3, stride), nn.ReLU(), *normed(out, out, 3))
    return [Residual(body, shortcut), nn.ReLU()]


def lenet5(by: int) -> nn.Module:
    """LeCun et al. 1998, with max pools and ReLU; for 28×28."""
    a, b, c, d = 6 // by, 16 // by, 120 // by, 84 // by
    return nn.Sequential(
        nn.Conv2d(1, a, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(a, b, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(25 * b, c), nn.ReLU(), nn.Linear(c, d), nn.ReLU(), nn.Linear(d, 10),
    )  # fmt: skip


def vgg8(by: int) -> nn.Module:
    """VGG-8B of Nøkland and Eidnes 2019; for 32×32."""
    layers: list[nn.Module] = []
    reads = 3
    for out, pool in ((128, False), (256, True), (256, False), (512, True), (512, True), (512, True)):
        layers += [*normed(reads, out // by, 3), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pool else []
        reads = out // by
    head = [nn.Flatten(), nn.Linear(4 * reads, 1024 // by), nn.ReLU(), nn.Linear(1024 // by, 10)]
    return nn.Sequential(*layers, *head)


def vgg_ldfa(by: int) -> nn.Module:
    """The net of Hanut and Kadmon 2025; for 32×32."""
    layers: list[nn.Module] = []
    reads = 3
    for out in (64 // by, 128 // by, 256 // by, 512 // by):
        layers += [*double(reads, out), nn.MaxPool2d(2)]
        reads = out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * reads, 10))


def resnet18(by: int) -> nn.Module:
    """He et al. 2015; for 32×32."""
    reads = 64 // by
    layers = [*normed(3, reads, 3), nn.ReLU(), *basic(reads, reads), *basic(reads, reads)]
    for out in (128 // by, 256 // by, 512 // by):
        shortcut = nn.Sequential(*normed(reads, out, 1, 2))
        layers += [*basic(reads, out, 2, shortcut), *basic(out, out)]
        reads = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(reads, 10))


def resnet20(by: int) -> nn.Module:
    """He et al. 2015, shortcuts without parameters; for 32×32."""
    reads = 16 // by
    layers = [*normed(3, reads, 3), nn.ReLU()]
    for out in (16 // by, 32 // by, 64 // by):
        if out > reads:
            layers += basic(reads, out, 2, nn.Sequential(nn.AvgPool2d(1, 2), PadChannels(out // 4)))
        for _ in range(3 if out == reads and reads == 16 // by else 2):
            layers += basic(out, out)
        reads = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(reads, 10))


def mobilenet(by: int) -> nn.Module:
    """Inverted residuals with squeeze-excitation; for 32×32."""
    a, b, c, d, e = 16 // by, 64 // by, 24 // by, 96 // by, 128 // by
    layers = [*normed(3, a, 3), nn.Hardswish(), *normed(a, b, 1), nn.Hardswish()]
    layers += [*normed(b, b, 3, 2, groups=b), nn.Hardswish(), *normed(b, c, 1)]
    for _ in range(3):
        filtered = [*normed(c, d, 1), nn.Hardswish(), *normed(d, d, 3, groups=d), nn.Hardswish()]
        layers.append(Residual(nn.Sequential(*filtered, Excite(d, 24 // by), *normed(d, c, 1))))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(e, 10)]
    return nn.Sequential(*layers, *normed(c, e, 1), nn.Hardswish(), *head)


def convnext(by: int) -> nn.Module:
    """Liu et al. 2022, two stages; for 32×32."""
    a, b = 40 // by, 80 // by

    def block(width: int) -> nn.Module:
        depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        up, down = nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, width, 1)
        return Residual(nn.Sequential(depthwise, ChannelNorm(width), up, nn.GELU(), down))

    return nn.Sequential(
        nn.Conv2d(3, a, 2, 2), ChannelNorm(a), block(a), block(a),
        ChannelNorm(a), nn.Conv2d(a, b, 2, 2), block(b), block(b),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(b), nn.Linear(b, 10),
    )  # fmt: skip


class Transposed(nn.Module):
    """[N, d, T] as [N, T, d], or the other way round."""

    def forward(self, x: Tensor) -> Tensor:
        """A view."""
        return x.transpose(1, 2)


class MixTokens(nn.Module):
    """Layers along the tokens of [N, T, d]."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Token by token they would be along d."""
        mixed: Tensor = self.layers(x.transpose(1, 2)).transpose(1, 2)
        return mixed


def mixer(by: int) -> nn.Module:
    """Tolstikhin et al. 2021, eight blocks; for 32×32."""
    width, tokens = 128 // by, 64

    def block() -> list[nn.Module]:
        along = nn.Linear(tokens, 64 // by), nn.GELU(), nn.Linear(64 // by, tokens)
        each = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        return [
            Residual(nn.Sequential(nn.LayerNorm(width), MixTokens(*along))),
            Residual(nn.Sequential(nn.LayerNorm(width), *each)),
        ]

    return nn.Sequential(
        nn.Conv2d(3, width, 4, 4), nn.Flatten(2), Transposed(),
        *(layer for _ in range(8) for layer in block()),
        nn.LayerNorm(width), Transposed(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, 10),
    )  # fmt: skip


def autoencoder(by: int) -> nn.Module:
    """For 28×28."""
    a, b, code = 16 // by, 32 // by, 32 // by
    return nn.Sequential(
        nn.Conv2d(1, a, 3, 2, 1), nn.ELU(), nn.Conv2d(a, b, 3, 2, 1), nn.ELU(), nn.Flatten(),
        nn.Linear(49 * b, code), nn.Linear(code, 49 * b), nn.ELU(), nn.Unflatten(1, (b, 7, 7)),
        nn.ConvTranspose2d(b, a, 2, 2), nn.ELU(), nn.ConvTranspose2d(a, 1, 2, 2),
    )  # fmt: skip


def deepcsi(by: int) -> nn.Module:
    """Meneghello et al. 2022, without its noise; for 1×234."""
    width, layers, reads = 128 // by, list[nn.Module](), 5
    for kernel in (7, 7, 7, 5, 3):
        layers += [nn.Conv2d(reads, width, (1, kernel), padding="same"), nn.SELU(), nn.MaxPool2d((1, 2))]
        reads = width
    head = [nn.Linear(7 * width, 128 // by), nn.SELU(), nn.Linear(128 // by, 64 // by), nn.SELU()]
    return nn.Sequential(*layers, Attention(), nn.Flatten(), *head, nn.Linear(64 // by, 10))


class Recurrent(nn.Module):
    """A GRU, and a head that reads its last state."""

    def __init__(self, reads: int, by: int, classes: int) -> None:
        super().__init__()
        self.gru = nn.GRU(reads, 64 // by, batch_first=True)
        self.head = nn.Linear(64 // by, classes)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """What inputs say before what the state says."""
        own = dict(self.gru.named_parameters())
        yield from (own[f"{name}_l0"] for name in ("weight_ih", "bias_ih", "weight_hh", "bias_hh"))
        yield from self.head.parameters()

    def read(self, x: Tensor) -> Tensor:
        """By the state after the last of [N, T, reads]."""
        _, state = self.gru(x)
        logits: Tensor = self.head(state[0])
        return logits


class Rows(Recurrent):
    """The rows of an 8×8 image."""

    def __init__(self, by: int) -> None:
        super().__init__(8, by, 10)

    def forward(self, x: Tensor) -> Tensor:
        """One behind the other."""
        return self.read(x.reshape(-1, 8, 8))


class Utterances(Recurrent):
    """Frames of 12 numbers."""

    def __init__(self, by: int) -> None:
        super().__init__(12, by, 9 // by)

    def forward(self, frames: Tensor, voiced: Tensor) -> Tensor:
        """Those that count, of each utterance by itself."""
        return torch.cat([self.read(x[mask == 1][None]) for x, mask in zip(frames, voiced, strict=True)])


class Siamese(nn.Module):
    """One tower for two images."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self.tower = nn.Sequential(
            nn.Linear(784, 128 // by), nn.ReLU(), nn.Linear(128 // by, 64 // by), nn.Tanh()
        )
        self.same = nn.Linear(64 // by, 1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """By the product of what it makes of the two."""
        logit: Tensor = self.same(self.tower(first) * self.tower(second))
        return logit


MODULES: dict[str, tuple[Callable[[int], nn.Module], int]] = {
    "lenet5": (lenet5, 2),
    "vgg8": (vgg8, 16),
    "vgg_ldfa": (vgg_ldfa, 16),
    "resnet18": (resnet18, 16),
    "resnet20": (resnet20, 4),
    "mobilenet": (mobilenet, 8),
    "convnext": (convnext, 8),
    "unet": (UNet, 8),
    "autoencoder": (autoencoder, 8),
    "deepcsi": (deepcsi, 8),
    "mixer": (mixer, 1),
    "vit": (ViT, 16),
    "transformer": (Transformer, 16),
    "encoder": (Encoder, 8),
    "vowels": (Vowels, 1),
    "vowels_gru": (Utterances, 1),
    "gru": (Rows, 4),
    "siamese": (Siamese, 1),
    "auxiliary": (Auxiliary, 8),
}
"""Modules by the names of the examples, each with the divisor of its widths at which tests run it."""
