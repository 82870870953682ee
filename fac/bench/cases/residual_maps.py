"""ResNet-18 (He et al. 2015, arXiv 1512.03385) with one 3 x 3 convolution for a stem."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fac.bench.case import CLASSES, NORMED, Case, rules

RANK = 16
STAGES = (64, 128, 256, 512)


class Block(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))); a convolution and a norm beside it where the map changes."""

    def __init__(self, reads: int, makes: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(reads, makes, 3, stride, 1, bias=False),
            nn.BatchNorm2d(makes),
            nn.ReLU(inplace=True),
            nn.Conv2d(makes, makes, 3, 1, 1, bias=False),
            nn.BatchNorm2d(makes),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            conv = nn.Conv2d(reads, makes, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(makes))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W]."""
        return nn.functional.relu(self.body(x) + self.shortcut(x), inplace=True)


def case(
    stages: tuple[int, ...] = STAGES, blocks: int = 2, side: int = 32, batch: int = 32, rank: int = RANK
) -> Case:
    """Stages of two blocks; each but the first halves the map."""
    layers: list[dict[str, Any]] = [*_conv("stem", stages[0], 3, 1), {"kind": "relu"}]
    shapes = [
        (stages[max(0, stage - (block == 0))], makes, 1 + (stage > 0 and block == 0))
        for stage, makes in enumerate(stages)
        for block in range(blocks)
    ]
    for i, (_, makes, stride) in enumerate(shapes):
        body = [*_conv("conv1", makes, 3, stride), {"kind": "relu"}, *_conv("conv2", makes, 3, 1)]
        shortcut = {"shortcut": _conv("down", makes, 1, stride)} if stride > 1 else {}
        layers += [{"kind": "residual", "name": f"block{i}", "body": body, **shortcut}, {"kind": "relu"}]

    def module() -> nn.Module:
        stem = nn.Conv2d(3, stages[0], 3, 1, 1, bias=False), nn.BatchNorm2d(stages[0]), nn.ReLU(inplace=True)
        ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stages[-1], CLASSES)
        return nn.Sequential(*stem, *(Block(*shape) for shape in shapes), *ends)

    layers.append({"kind": "global_avg_pool"})
    return Case((3, side, side), (*layers,), rules(rank), batch, module, channels_last=True, rounded=NORMED)


def _conv(name: str, out: int, kernel: int, stride: int) -> list[dict[str, Any]]:
    settings = {"kernel": kernel, "stride": stride, "padding": kernel // 2, "bias": False}
    return [{"kind": "conv2d", "name": name, "out": out, **settings}, {"kind": "batch_norm"}]


def small() -> Case:
    """For the check against NumPy."""
    return case((8, 16), 1, 8, 5, rank=2)
