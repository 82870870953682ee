"""Fashion-MNIST: 60,000 + 10,000 grey images of 28×28 pixels, 10 classes, 6,000 training images of each.

The four files are looked for on this machine first and fetched otherwise. Wherever they come from, they are
trusted only if the SHA-256 of their unpacked bytes is right. Packed bytes differ from mirror to mirror.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fac import opening
from fac.cached import cache_folder
from fac.diagnostics import FacError
from fac.spec.data import Data, Place
from fac.training.dataset import DataKind, Dataset, Facts, Split
from fac.writing import sweep, write

if TYPE_CHECKING:
    from logging import Logger

    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Precision

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("usr/share/datasets/fashion-mnist")
"""Where the Debian package puts the files, under `/` or where it is unpacked."""
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
)  # fmt: skip
LIMIT = opening.IDX.most
"""Most bytes of a download, and of an unpacked file."""
TIMEOUT = 30
"""Seconds without an answer after which a connection is given up."""

CACHE = "fashion-mnist"
"""Where in the cache of fac they are kept."""

Files = dict[str, bytes]


class FashionMnist(Data):
    """Images of clothing, 28×28 grey values, 10 classes: 60,000 to train on, 10,000 to test on."""

    source: Literal["fashion_mnist"] = Field(
        default="fashion_mnist",
        description="Fashion-MNIST, 70,000 images of clothing; fetched once (31 MB) where not installed. Pixels are "
        "standardised: mean 0 and variance 1 over all 60,000 images to "
        "train on, those that `validation` holds out included.",
    )
    root: Annotated[str | None, Place()] = Field(
        default=None,
        description="Folder of the four IDX files, packed (`.gz`) or not; relative to the spec's folder.",
    )


def load(data: FashionMnist, base: Path, precision: Precision) -> Dataset:
    """Samples of shape (n, 28, 28), standardised with one mean and one deviation over all training pixels.

    Raises:
        FacError: `root` is incomplete or damaged, or the files are nowhere to be had.

    """
    import numpy as np

    files = _find() if data.root is None else _given(base, data.root)
    images, labels, test_images, test_labels = (_idx(files[name]) for name in SHA256)
    # one table look-up per pixel: float64 copies of all images would take 0.4 GB and most of the time
    counts = sum(np.bincount(image.ravel(), minlength=256) for image in np.array_split(images, 64))
    level = np.arange(256) / 255
    mean = np.average(level, weights=counts)
    deviation = np.average((level - mean) ** 2, weights=counts) ** 0.5
    table = ((level - mean) / deviation).astype(precision)
    return Dataset(
        "fashion_mnist",
        Split(table[images], labels.astype(np.int64)),
        Split(table[test_images], test_labels.astype(np.int64)),
        classes=CLASSES,
    )


def _log() -> Logger:
    import logging

    return logging.getLogger(__name__)


def _given(base: Path, written: str) -> Files:
    folder = Path(opening.placed(base, written, f"`{written}` (`data.root`)"))
    try:
        return _from_folder(folder)
    except FacError as error:
        raise FacError(
            f"`{written}` (`data.root`) does not hold Fashion-MNIST, {error}: "
            "give the folder of its four files, or leave `root` out"
        ) from error


def _find() -> Files:
    """The four files from the first source that has them all; what was fetched goes to the cache."""
    import subprocess

    reasons = []
    for name, source, fetched in SOURCES:
        try:
            files = source()
        except (OSError, FacError, subprocess.SubprocessError) as error:
            reasons.append(f"{name}: {error}")
            continue
        if fetched:
            _keep(files)
        return files
    names = ", ".join(f"`{name}.gz`" for name in SHA256)
    raise FacError(
        "Fashion-MNIST is not on this machine and cannot be fetched: give a folder with its four files as "
        f"`data.root`, install it with `apt-get install {PACKAGE}`, or download {names} from {URL} "
        f"into `{cache_folder(CACHE)}` (tried: {'; '.join(reasons)})"
    )


def _from_cache() -> Files:
    return _from_folder(cache_folder(CACHE))


def _from_system() -> Files:
    return _from_folder(Path("/") / INSTALLED)


def _from_debian() -> Files:
    """Unpacks the Debian package into a temporary folder, which takes no rights."""
    import tempfile

    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise FacError(f"there is no `{tool}`")
    _log().info("fetching the Debian package %s (31 MB)", PACKAGE)
    with tempfile.TemporaryDirectory() as folder:
        _run(["apt-get", "download", PACKAGE], folder)
        (package,) = Path(folder).glob("*.deb")
        _run(["dpkg", "-x", package.name, "."], folder)
        return _from_folder(folder / INSTALLED)


def _run(command: list[str], folder: str) -> None:
    import subprocess

    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=600, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise FacError(f"`{' '.join(command[:2])}` says `{said[-1]}`")


def _from_web() -> Files:
    _log().info("fetching Fashion-MNIST (31 MB) from %s", URL)
    return {name: _checked(name, _download(f"{URL}{name}.gz")) for name in SHA256}


def _download(url: str) -> bytes:
    # Imported here: `fac check` loads this module for the fields of the spec, and these cost it 30 ms.
    import http.client
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content: bytes = answer.read(LIMIT)
            return content
    except http.client.HTTPException as error:
        raise OSError(f"the answer broke off: {error}") from error


def _from_folder(folder: Path) -> Files:
    return {name: _read(folder, name) for name in SHA256}


def _read(folder: Path, name: str) -> bytes:
    for path in (folder / name, folder / f"{name}.gz"):
        if opening.there(path):
            return _checked(name, opening.content(path, opening.IDX, within=folder))
    raise FacError(f"no `{name}` or `{name}.gz` in `{folder}`")


def _checked(name: str, content: bytes) -> bytes:
    """The unpacked bytes of a file that may be packed, once their checksum is found right."""
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(LIMIT)
        except (OSError, EOFError, zlib.error) as error:
            raise FacError(f"`{name}.gz` is damaged: {error}") from error
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise FacError(f"`{name}` is damaged or another file: its SHA-256 differs")
    return content


def _keep(files: Files) -> None:
    """Writes the files to the cache, each complete or not at all."""
    folder = cache_folder(CACHE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        for name, content in files.items():
            write(folder / name, content)
    except (OSError, FacError) as error:
        # the data are at hand and right: a full or read-only disk costs the next run a download, no more
        _log().warning("Fashion-MNIST is not kept in `%s`: %s", folder, error)


def _idx(content: bytes) -> NDArray[np.uint8]:
    """An IDX file of bytes: zero, zero, type 8, rank; a big-endian int32 per axis; the values in C order."""
    import numpy as np

    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, 4)
    array: NDArray[np.uint8] = np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
    return array


SOURCES: tuple[tuple[str, Callable[[], Files], bool], ...] = (
    ("cache", _from_cache, False),
    ("installed package", _from_system, False),
    ("Debian package", _from_debian, True),
    ("download", _from_web, True),
)
"""Name, how it is read, and whether it had to be fetched, so that keeping it saves the next run the way."""

KIND = DataKind(
    "fashion_mnist", FashionMnist, load, facts=lambda _: Facts((28, 28), 10, classes=True, train=60_000)
)
