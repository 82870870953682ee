"""Folders of images and CIFAR: pixels, classes by name, and one message for each kind of wrong file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fac.diagnostics import FacError, SpecError
from fac.step.feed import Feed
from fac.training.data import load
from fac.training.data.cifar import Cifar
from fac.training.data.image_folder import ImageFolder
from fac.training.dataset import Dataset
from fac.training.fitting import fitted

DRAW = np.random.default_rng(0)


def pixels(*shape: int) -> NDArray[np.uint8]:
    return DRAW.integers(0, 256, shape, np.uint8)


def save(path: Path, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return image


def read(folder: Path, **settings: Any) -> Dataset:
    return load(ImageFolder(**{"train": "a", "test": "b"} | settings), folder)


@pytest.fixture
def images(tmp_path: Path) -> dict[str, NDArray[np.uint8]]:
    """Two classes, of which one has folders of its own; in two folders."""
    names = ("a/dog/2.png", "a/dog/10.png", "a/cat/deep/1.bmp", "a/cat/3.PNG", "b/cat/1.png", "b/dog/x.png")
    return {name: save(tmp_path / name, pixels(4, 6, 3)) for name in names}


def test_pixels_and_classes(images: dict[str, NDArray[np.uint8]], tmp_path: Path) -> None:
    data = read(tmp_path)
    assert data.classes == ("cat", "dog")
    order = ("a/cat/3.PNG", "a/cat/deep/1.bmp", "a/dog/10.png", "a/dog/2.png")
    np.testing.assert_array_equal(data.train.x, [images[name].transpose(2, 0, 1) for name in order])
    np.testing.assert_array_equal(data.train.y, [0, 0, 1, 1])
    np.testing.assert_array_equal(data.test.x[1], images["b/dog/x.png"].transpose(2, 0, 1))


@pytest.mark.usefixtures("images")
def test_scaled_by_channel_or_to_one(tmp_path: Path) -> None:
    feeds = (Feed("x", (3, 4, 6)), Feed("y", (), classes=2, loss="cross_entropy"))
    raw = read(tmp_path)
    found = fitted(raw, feeds, "float64")
    np.testing.assert_allclose(np.asarray(found.train.x).mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(np.asarray(found.train.x).std((0, 2, 3)), 1)
    mean, deviation = (getattr(raw.train.x, how)((0, 2, 3))[:, None, None] for how in ("mean", "std"))
    np.testing.assert_allclose(found.test.x, (raw.test.x - mean) / deviation)
    plain = fitted(read(tmp_path, standardise=False), feeds, "float64")
    np.testing.assert_allclose(plain.test.x, raw.test.x / 255)


@pytest.mark.usefixtures("images")
def test_a_share_of_one_folder_is_for_testing(tmp_path: Path) -> None:
    data = read(tmp_path, test=None, test_share=0.5)
    assert (sorted(data.train.y), sorted(data.test.y)) == ([0, 1], [0, 1])


@pytest.mark.usefixtures("images")
def test_many_sizes_and_grey_among_colours(tmp_path: Path) -> None:
    grey = save(tmp_path / "a/dog/3.png", pixels(4, 6))
    message = (
        r"`dog/3.png` in `a` \(`data.train`\) is grey, and `cat/3.PNG` .* is in colours: write `channels"
    )
    with pytest.raises(FacError, match=message):
        read(tmp_path)
    colours = read(tmp_path, channels="colour").train.x[-1]
    np.testing.assert_array_equal(colours, np.broadcast_to(grey, (3, 4, 6)))
    assert read(tmp_path, channels="grey").train.x.shape == (5, 1, 4, 6)
    save(tmp_path / "a/dog/3.png", pixels(8, 6, 3))
    message = r"has 8 x 6 pixels, and `cat/3.PNG` in .* 4 x 6: write `size: \[4, 6\]` to resize all"
    with pytest.raises(FacError, match=message):
        read(tmp_path)
    assert read(tmp_path, size=(5, 3)).train.x.shape == (5, 3, 5, 3)


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("kept", [0, 4, 50, 100])
def test_a_file_that_is_cut_off(kept: int, tmp_path: Path) -> None:
    file = tmp_path / "a/dog/2.png"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(FacError, match=r"`dog/2.png` in `a` \(`data.train`\) is no image, or is damaged: "):
        read(tmp_path)


@pytest.mark.usefixtures("images")
def test_other_files_are_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("notes.txt", "Thumbs.db", ".DS_Store"):
        (tmp_path / "a/dog" / name).write_text("no image")
    with caplog.at_level(logging.INFO):
        assert len(read(tmp_path).train) == 4
    assert caplog.messages == [
        "`a` (`data.train`): 2 files of other kinds than images left out, `dog/Thumbs.db`, `dog/notes.txt`"
    ]


@pytest.mark.usefixtures("images")
def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FacError, match=r"`empty` .* has no folders, which would be its classes"):
        read(tmp_path, train="empty")
    with pytest.raises(FacError, match=r"`c` .* is not a folder: paths in a spec start from its own folder"):
        read(tmp_path, train="c")
    save(tmp_path / "b/bird/1.png", pixels(4, 6, 3))
    with pytest.raises(
        FacError, match=r"`b` .* has a folder `bird`, which is no class of the training images"
    ):
        read(tmp_path)
    (tmp_path / "a/bird").mkdir()
    with pytest.raises(FacError, match=r"folder `bird` of `a` .* holds no image"):
        read(tmp_path)


@pytest.mark.usefixtures("images")
def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    save(tmp_path / "secret.png", pixels(4, 6, 3))
    (tmp_path / "a/dog/link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(FacError, match=r"is a link that leads out of"):
        read(tmp_path)


def test_no_image_says_where_it_belongs() -> None:
    with pytest.raises(SpecError, match=r"no image says to which split it belongs"):
        ImageFolder(train="a", split="part")


# -- CIFAR ---------------------------------------------------------------------------------------------------


def records(labels: NDArray[np.int64], before: int = 0) -> tuple[bytes, NDArray[np.uint8]]:
    """As the archive has them: the bytes, and the images (n, 3, 32, 32)."""
    images = pixels(len(labels), 3, 32, 32)
    coarse = np.zeros((len(labels), before), np.uint8)
    rows = np.concatenate([coarse, labels.astype(np.uint8)[:, None], images.reshape(len(labels), -1)], 1)
    return rows.tobytes(), images


@pytest.fixture
def ten(tmp_path: Path) -> list[NDArray[np.uint8]]:
    """A small set in the layout of CIFAR-10, within the folder of its archive."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    found = []
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        raw, images = records(np.arange(4) * 3)
        (folder / name).write_bytes(raw)
        found.append(images)
    (folder / "batches.meta.txt").write_text("\n".join(f"class {number}" for number in range(10)) + "\n\n")
    return found


def test_cifar_10(ten: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    for root in (".", "cifar-10-batches-bin"):
        data = load(Cifar(root=root), tmp_path)
        np.testing.assert_array_equal(data.train.x, np.concatenate(ten[:5]))
        np.testing.assert_array_equal(data.test.x, ten[5])
        np.testing.assert_array_equal(data.train.y, [0, 3, 6, 9] * 5)
        assert data.classes[3] == "class 3"
    (tmp_path / "cifar-10-batches-bin" / "batches.meta.txt").unlink()
    assert load(Cifar(root="."), tmp_path).classes == ()


def test_cifar_100_has_two_labels_and_the_fine_one_counts(tmp_path: Path) -> None:
    labels = np.array([0, 99, 50])
    for name in ("train.bin", "test.bin"):
        raw, images = records(labels, before=1)
        (tmp_path / name).write_bytes(raw)
    data = load(Cifar(root=".", classes=100), tmp_path)
    np.testing.assert_array_equal(data.test.x, images)
    np.testing.assert_array_equal(data.test.y, labels)


@pytest.mark.usefixtures("ten")
def test_files_that_are_not_those_of_cifar(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    file = folder / "data_batch_3.bin"
    raw = file.read_bytes()
    for wrong, message in (
        (raw[:-1], "has 12,291 bytes, and a record of CIFAR-10 takes 3,073: it is cut off"),
        (b"", "has 0 bytes"),
        (raw[:3073] + b"\x0a" + raw[3074:], "has label 10 in record 1, and there are 10 classes"),
    ):
        file.write_bytes(wrong)
        with pytest.raises(FacError, match=f"`data_batch_3.bin` in `.` .* {message}"):
            load(Cifar(root="."), tmp_path)
    file.unlink()
    with pytest.raises(
        FacError, match=r"has no `data_batch_3.bin`: give the folder of the binary version"
    ) as caught:
        load(Cifar(root="."), tmp_path)
    assert "pickles" not in str(caught.value)
    file.write_bytes(raw)
    (folder / "batches.meta.txt").write_text("one\n")
    with pytest.raises(FacError, match=r"`batches.meta.txt` in .* has 1 names of 10 classes"):
        load(Cifar(root="."), tmp_path)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "cifar-100-python").mkdir()
    with pytest.raises(FacError, match=r"are pickles, which could run code"):
        load(Cifar(root=".", classes=100), tmp_path)
