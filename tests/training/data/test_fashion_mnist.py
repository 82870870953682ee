"""Fashion-MNIST on tiny files: reading, the order of the sources, and distrust of everything fetched."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import struct
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.backend import Precision
from fac.cached import cache_folder
from fac.diagnostics import FacError
from fac.training.data import fashion_mnist as fm
from fac.training.data import load
from fac.training.data.fashion_mnist import FashionMnist

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 2, 3)).astype(np.uint8)
LABELS = np.arange(70, dtype=np.uint8) % 10


def idx(values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape) + values.tobytes()


FILES = {
    "train-images-idx3-ubyte": idx(IMAGES),
    "train-labels-idx1-ubyte": idx(LABELS),
    "t10k-images-idx3-ubyte": idx(IMAGES[:5]),
    "t10k-labels-idx1-ubyte": idx(LABELS[:5]),
}
NAMES = list(FILES)


class World:
    """A machine without the data and without a network, until a test says otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.patch = monkeypatch.setattr
        self.cache = folder / "cache" / "fashion-mnist"
        self.installed = folder / "installed"
        self.downloads: list[str] = []
        monkeypatch.setenv("FAC_CACHE", str(folder / "cache"))
        self.patch(
            fm, "SHA256", {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
        )
        self.patch(fm, "INSTALLED", self.installed)
        self.patch(shutil, "which", lambda tool: None)
        self.online(None)

    def online(self, serve: Callable[[str], bytes] | None) -> None:
        def download(url: str) -> bytes:
            self.downloads.append(url)
            if serve is None:
                raise urllib.error.URLError("no network")
            return serve(url.removeprefix(fm.URL).removesuffix(".gz"))

        self.patch(fm, "_download", download)

    def kept(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.cache.glob("*")} if self.cache.exists() else {}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path)


def packed(name: str) -> bytes:
    return gzip.compress(FILES[name], mtime=0)


def fill(folder: Path, pack: bool = False) -> Path:
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / (f"{name}.gz" if pack else name)).write_bytes(gzip.compress(content) if pack else content)
    return folder


@pytest.mark.parametrize(("pack", "precision"), [(True, "float32"), (False, "float64")])
def test_root_packed_or_not(world: World, tmp_path: Path, pack: bool, precision: Precision) -> None:
    fill(tmp_path / "mine", pack)
    data = load(FashionMnist(root="mine"), tmp_path, precision)
    pixels = IMAGES / 255
    expected = (pixels - pixels.mean()) / pixels.std()
    assert data.train.x.dtype == precision
    atol = {"float32": 1e-6, "float64": 1e-14}[precision]
    np.testing.assert_allclose(data.train.x, expected, atol=atol)
    np.testing.assert_allclose(data.test.x, expected[:5], atol=atol)
    assert data.train.y.dtype == np.int64
    np.testing.assert_array_equal(data.train.y, LABELS)
    np.testing.assert_array_equal(data.test.y, LABELS[:5])
    assert not world.downloads
    assert not world.kept()


def test_incomplete_root_is_an_error_even_online(world: World, tmp_path: Path) -> None:
    world.online(packed)
    (fill(tmp_path / "mine") / NAMES[1]).unlink()
    message = (
        f"`mine` (`data.root`) does not hold Fashion-MNIST, no `{NAMES[1]}` or `{NAMES[1]}.gz` in "
        f"`{tmp_path / 'mine'}`: give the folder of its four files, or leave `root` out"
    )
    with pytest.raises(FacError) as caught:
        load(FashionMnist(root="mine"), tmp_path)
    assert str(caught.value) == message
    assert not world.downloads


@pytest.mark.parametrize(
    "content", [b"other", gzip.compress(b"other", mtime=0), packed(NAMES[0])[:-20], b"\x1f\x8bjunk"]
)
def test_damaged_root(world: World, tmp_path: Path, content: bytes) -> None:
    (fill(tmp_path / "mine") / NAMES[0]).write_bytes(content)
    with pytest.raises(FacError, match=r"does not hold Fashion-MNIST, `train-images-idx3-ubyte.* is damaged"):
        load(FashionMnist(root="mine"), tmp_path)


def test_installed_package_needs_no_cache(world: World) -> None:
    fill(world.installed, pack=True)
    assert load(FashionMnist()).train.x.shape == (70, 2, 3)
    assert not world.kept()


def test_a_download_is_kept_and_made_once(world: World) -> None:
    world.online(packed)
    load(FashionMnist())
    assert world.downloads == [f"{fm.URL}{name}.gz" for name in NAMES]
    assert world.kept() == FILES
    load(FashionMnist())
    assert len(world.downloads) == 4


def test_a_damaged_cache_is_fetched_again(world: World) -> None:
    (fill(world.cache) / NAMES[2]).write_bytes(FILES[NAMES[2]][:-1] + b"!")
    world.online(packed)
    load(FashionMnist())
    assert world.kept() == FILES


@pytest.mark.parametrize("content", [b"<html>", packed(NAMES[3])[:-12], b""])
def test_a_damaged_download_leaves_nothing_behind(world: World, content: bytes) -> None:
    world.online(lambda name: content if name == NAMES[3] else packed(name))
    with pytest.raises(FacError, match=f"download: `{NAMES[3]}.* is damaged"):
        load(FashionMnist())
    assert not world.kept()


def test_an_interrupted_write_leaves_nothing_behind(world: World) -> None:
    def interrupted(source: Path, target: Path, **named: Any) -> None:
        raise KeyboardInterrupt

    world.online(packed)
    world.patch(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(FashionMnist())
    assert not world.kept()


def test_an_unwritable_cache_costs_no_more_than_the_next_download(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.cache.parent.write_text("a file where the folder should be")
    world.online(packed)
    assert load(FashionMnist()).train.x.shape == (70, 2, 3)
    assert "Fashion-MNIST is not kept in" in caplog.text


def test_debian_package_without_rights(world: World) -> None:
    """`apt-get download` puts the package into the temporary folder, `dpkg -x` unpacks it there."""
    commands = []

    def run(command: list[str], folder: str) -> None:
        commands.append(command)
        if command[0] == "apt-get":
            (Path(folder) / "dataset-fashion-mnist_1_all.deb").touch()
        else:
            fill(Path(folder) / "usr/data")

    world.patch(shutil, "which", lambda tool: tool)
    world.patch(fm, "_run", run)
    world.patch(fm, "INSTALLED", Path("usr/data"))
    load(FashionMnist())
    assert commands == [
        ["apt-get", "download", "dataset-fashion-mnist"],
        ["dpkg", "-x", "dataset-fashion-mnist_1_all.deb", "."],
    ]
    assert world.kept() == FILES
    assert not world.downloads


def test_a_failing_command_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(FacError, match=r"^`sh -c` says `E: no such package`$"):
        fm._run(["sh", "-c", "echo first >&2; echo 'E: no such package' >&2; exit 3"], str(tmp_path))
    with pytest.raises(FacError, match=r"^`sh -c` says `exit status 3`$"):
        fm._run(["sh", "-c", "exit 3"], str(tmp_path))


def test_when_all_fails_one_message_tells_the_ways_and_the_reasons(world: World) -> None:
    with pytest.raises(FacError) as caught:
        load(FashionMnist())
    assert str(caught.value) == (
        "Fashion-MNIST is not on this machine and cannot be fetched: give a folder with its four files as "
        "`data.root`, install it with `apt-get install dataset-fashion-mnist`, or download "
        f"{', '.join(f'`{name}.gz`' for name in NAMES)} from {fm.URL} into `{world.cache}` (tried: "
        f"cache: no `{NAMES[0]}` or `{NAMES[0]}.gz` in `{world.cache}`; "
        f"installed package: no `{NAMES[0]}` or `{NAMES[0]}.gz` in `{world.installed}`; "
        "Debian package: there is no `apt-get`; download: <urlopen error no network>)"
    )


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"FAC_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/fashion-mnist"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/fac/fashion-mnist"),
        ({"FAC_CACHE": ""}, "/home/me/.cache/fac/fashion-mnist"),
    ],
)
def test_cache_folder(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str) -> None:
    for name in ("FAC_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder(fm.CACHE) == Path(folder)
