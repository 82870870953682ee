"""A folder of `.npy` files, one for each array, mapped into memory: what is not read stays on the disk."""

from __future__ import annotations

import os
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fac.opening import DATA, MissingError, opened, unreadable
from fac.training.data import npz

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Folder:
    """The arrays of a folder, by the names of its files."""

    def __init__(self, path: Path, place: str) -> None:
        """`place` is what messages call it."""
        self.path, self.place = path, place

    @property
    def names(self) -> list[str]:
        """Of all files."""
        return sorted(
            file.removesuffix(npz.ENDING) for file in os.listdir(self.path) if file.endswith(npz.ENDING)
        )

    def array(self, key: str, *, text: bool = False) -> NDArray[Any]:
        """An array of numbers, read as it is used; text is refused, whoever asks.

        Raises:
            FacError: there is none of that name, it is damaged, or does not hold plain numbers.
        """
        name = f"{key}{npz.ENDING}"
        place = f"`{name}` in {self.place}"
        try:
            file = opened(self.path / name, DATA, place=place, within=self.path)
        except MissingError as error:
            raise npz.missing(key, self.names, self.place) from error
        return mapped(file, key, self.place)


def mapped(file: BufferedReader, key: str, place: str) -> NDArray[Any]:
    """The array of a file that is open, and is closed: read as it is used.

    Args:
        file: at its start.
        key: what messages call the array.
        place: what they call that which holds it.

    Raises:
        FacError: it is damaged, or does not hold plain numbers.
    """
    import numpy as np

    try:
        with file:
            dtype, turned, shape = npz.header(file, key, place)
            npz.require_numbers(key, place, dtype, shape)
            start, size = file.tell(), os.fstat(file.fileno()).st_size
            npz.require_size(key, place, dtype, shape, size - start)
            if 0 in shape:
                return np.empty(shape, dtype)
            flat = np.memmap(file, dtype, "r", start, (prod(shape),))
    except OSError as error:
        raise unreadable(f"array `{key}` in {place}", error) from error
    return flat.reshape(shape[::-1]).transpose() if turned else flat.reshape(shape)
