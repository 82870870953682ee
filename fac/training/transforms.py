"""Transforms of torchvision, as a training carries them out on the bytes of its images."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.diagnostics import FacError
from fac.training.data.augment import REFUSED, WITHIN, Setting, one_transform
from fac.training.vision import accepted, class_of, listed, nearest

TRIED = 16
"""Images on which transforms are tried before a training begins."""
_drawing = Lock()
"""The generator of torch that transforms draw from is one for all threads, and several may read samples."""


@dataclass(frozen=True, eq=False)
class Transforms:
    """Transforms in their order, which torchvision is asked for when a training needs them, and no sooner."""

    settings: Sequence[str | Mapping[str, Mapping[str, Setting]]]
    """What a spec says, `data.augment`."""

    @cached_property
    def made(self) -> Sequence[tuple[str, Callable[[Any], Any]]]:
        """What messages call each, and the transform.

        Raises:
            FacError: torchvision is not installed, has no such transform, or not with these arguments.
        """
        return [_made(each, f"data.augment[{place}]") for place, each in enumerate(self.settings)]

    def __call__(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Images (n, channels, height, width), each changed in a way of its own.

        It depends on the arguments alone, and the generator of torch is left as it was.

        Args:
            images: as they are; they may be overwritten.
            seed: from 0 to 2⁶⁴ - 1.

        Raises:
            FacError: a transform fails on an image, or all of them make something of another shape or type.
        """
        transforms, made = self.made, np.empty_like(images)
        with _seeded(seed):
            for before, after in zip(images, made, strict=True):
                after[:] = _changed(before, transforms)
        return made

    def tried(self, images: NDArray[np.uint8]) -> None:
        """Raise FacError if they cannot be made, or fail on some of the images that a training is about to read."""
        self(images[:TRIED].copy(), 0)


def _changed(
    image: NDArray[np.uint8], transforms: Sequence[tuple[str, Callable[[Any], Any]]]
) -> NDArray[np.uint8]:
    import torch

    found: Any = torch.from_numpy(image)
    for place, transform in transforms:
        try:
            found = transform(found)
        except Exception as error:  # whatever torchvision says
            raise FacError(f"{place} fails on an image of {list(image.shape)}: {_said(error)}") from error
    what = f"the transforms of `data.augment`, of which {transforms[-1][0]} is the last, make "
    if not isinstance(found, torch.Tensor):
        raise FacError(f"{what}{type(found).__name__} of an image: leave out what does")
    if tuple(found.shape) != image.shape:
        raise FacError(
            f"{what}images of {list(found.shape)} out of {list(image.shape)}, and all have to stay as they are "
            f"tested: let the last one make {list(image.shape[1:])}, or read them in that size by `data.size`"
        )
    if found.dtype != torch.uint8:
        raise FacError(f"{what}{found.dtype} of bytes, and numbers are made of bytes behind them")
    pixels: NDArray[np.uint8] = found.numpy()
    return pixels


def _made(setting: Any, path: str) -> tuple[str, Callable[[Any], Any]]:
    """One transform, and what messages call it."""
    name, given = (setting, {}) if isinstance(setting, str) else next(iter(setting.items()))
    place = f"`{name}` (`{path}`)"
    make = class_of("transforms.v2", "Transform", "transform", name, f"`{path}`", (*REFUSED, "Transform"))
    known = accepted(make)
    for word in given:
        if word not in known:
            near = nearest(word, known)
            hint = f"did you mean `{near}`?" if near else f"what it takes is {listed(known)}"
            raise FacError(f"{place} takes no `{word}`: {hint}")
    missing = [w for w, of in known.items() if of.default is of.empty and w not in given]
    if missing:
        raise FacError(f"{place} needs `{missing[0]}`: write `{{{name}: {{{missing[0]}: ...}}}}`")
    values = {word: _value(known[word], value, f"{path}.{name}.{word}") for word, value in given.items()}
    try:
        return place, make(**values)
    except Exception as error:  # whatever torchvision says
        raise FacError(
            f"{place} cannot be made so: {_said(error)}; what it takes is {listed(known)}"
        ) from error


def _value(parameter: inspect.Parameter, value: Any, path: str) -> Any:
    """What is written for an argument, as Python has it: transforms, members of an enumeration, else the same."""
    if parameter.name == WITHIN:
        if not isinstance(value, tuple | list) or not value:
            raise FacError(f"`{path}` is a list of transforms, such as `[{{ColorJitter: {{hue: 0.1}}}}]`")
        return [_within(each, f"{path}[{place}]") for place, each in enumerate(value)]
    kind = type(parameter.default)
    if isinstance(parameter.default, Enum) and isinstance(value, str):
        values = {member.value: member for member in kind}
        if value not in values:
            raise FacError(f"`{path}` is `{value}`: there are {', '.join(f'`{each}`' for each in values)}")
        return values[value]
    return value


def _within(setting: Any, path: str) -> Callable[[Any], Any]:
    """A transform within another one, of which a spec alone does not say that it is one."""
    sound = isinstance(setting, str) or (
        isinstance(setting, Mapping) and all(isinstance(given, Mapping) for given in setting.values())
    )
    if not sound:
        raise FacError(f"`{path}` is no transform: write a name, or `{{ColorJitter: {{hue: 0.1}}}}`")
    try:
        one_transform(setting)
    except ValueError as error:
        raise FacError(f"{error} (`{path}`)") from error
    return _made(setting, path)[1]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Transforms draw from the seed alone, and whoever else draws in this process goes on as if they had not."""
    import torch

    with _drawing:
        before = torch.get_rng_state()
        try:
            # of the CPU alone: `torch.manual_seed` would begin that of every device anew
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            torch.set_rng_state(before)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
