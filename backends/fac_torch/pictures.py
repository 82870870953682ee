"""Bytes of images that stay on a GPU as they are: numbers are made of them there, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

SHARE = 0.5
"""Which part of the free memory of a device bytes may take: a training needs some for itself."""


@dataclass(frozen=True, eq=False, slots=True)
class Kept:
    """Images, and what their bytes stand for."""

    images: torch.Tensor
    """[n, *sample], uint8."""
    levels: torch.Tensor
    """[channels, 256], or [1, 256] for all: by a byte the number that it stands for."""

    def numbers(self, rows: torch.Tensor) -> torch.Tensor:
        """[N, *sample] of some images as they are. It is on the device that `rows` [N] is on, as all else."""
        return self._looked_up(self.images.index_select(0, rows))

    def moved(self, rows: torch.Tensor, moves: torch.Tensor, border: int) -> torch.Tensor:
        """The same of images [channels, height, width] that are moved and flipped, see `Session.take_bytes`.

        Args:
            rows: [N].
            moves: [3, N]: from where in an image with its border a part is taken, down and right, and 1 to flip it.
            border: how many black pixels an image has around it.
        """
        images = self.images.index_select(0, rows)
        n, channels, height, width = images.shape
        wide = torch.nn.functional.pad(images, (border, border, border, border))
        down, right, turned = moves[:, :, None]
        across = torch.arange(width, device=rows.device)
        y = down + torch.arange(height, device=rows.device)
        x = right + torch.where(turned == 1, width - 1 - across, across)
        image = torch.arange(n, device=rows.device)[:, None, None, None]
        channel = torch.arange(channels, device=rows.device)[:, None, None]
        return self._looked_up(wide[image, channel, y[:, None, :, None], x[:, None, None, :]])

    def _looked_up(self, images: torch.Tensor) -> torch.Tensor:
        """One look-up in all levels, which lie one channel behind the other."""
        place = images.to(torch.int32)
        if len(self.levels) > 1:
            first = 256 * torch.arange(len(self.levels), dtype=torch.int32, device=images.device)
            place = place + first.reshape(-1, *[1] * (images.dim() - 2))
        return self.levels.reshape(-1).index_select(0, place.reshape(-1)).reshape(images.shape)


def has_room(device: torch.device, size: int) -> bool:
    """Whether a GPU keeps so many bytes beside a training."""
    free, _ = torch.cuda.mem_get_info(device)
    return size <= SHARE * free
