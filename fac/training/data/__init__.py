"""The data sources of the core, one file each, and the door through which every source is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fac import plugins
from fac.diagnostics import FacError
from fac.spec.data import Data
from fac.training.data import (
    arrays,
    cifar,
    csv,
    digits,
    fashion_mnist,
    huggingface,
    image_folder,
    parquet,
    python,
    sequences,
    teacher,
    text,
    torchvision,
)
from fac.training.dataset import DataKind, Dataset, HeldOut

if TYPE_CHECKING:
    from fac.backend import Precision

KINDS: tuple[DataKind[Any], ...] = (
    digits.KIND,
    fashion_mnist.KIND,
    arrays.KIND,
    teacher.KIND,
    text.KIND,
    sequences.KIND,
    csv.KIND,
    parquet.KIND,
    image_folder.KIND,
    cifar.KIND,
    torchvision.KIND,
    huggingface.KIND,
    python.KIND,
)


def declared(data: Data | None, name: str) -> Data:
    """The `data:` section of the spec of that name.

    Raises:
        FacError: it has none.
    """
    if data is None:
        raise FacError(f"`{name}` says nothing about data: add a section such as `data: {{source: digits}}`")
    return data


def load(data: Data, base: Path = Path(), precision: Precision = "float64") -> Dataset:
    """Loads what the `data:` section declares.

    Args:
        data: the section, of any installed kind.
        base: the folder of the spec file, from which relative paths in the section start.
        precision: of the run. `float64` loses nothing whatever the run, but may take twice the memory.

    Raises:
        FacError: no installed source has this section, or the source cannot be read.

    """
    for kind in plugins.kinds("fac.data"):
        if type(data) is kind.spec:
            dataset = kind.load(data, base, precision)
            if not isinstance(dataset, Dataset):
                raise plugins.misuse(kind.load, f"returns {type(dataset).__name__} where a Dataset is needed")
            if data.validation is None:
                return dataset
            return replace(dataset, held_out=HeldOut(data.validation, data.split_seed))
    raise FacError(
        f"no installed data source loads `{type(data).__name__}`: install the plug-in that declares it"
    )
