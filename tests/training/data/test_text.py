"""Text: windows that follow one another, the byte behind each, parts by position, and what cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fac.diagnostics import FacError
from fac.training.data import load
from fac.training.data.text import Text

LENGTH = 4


def text(**more: object) -> Text:
    return Text.model_validate({"path": "t", "length": LENGTH, "test": 0.25, **more})


def test_windows_and_what_follows(tmp_path: Path) -> None:
    content = bytes(range(200, 240))
    (tmp_path / "t").write_bytes(content)
    data = load(text(), tmp_path, "float32")
    for split, part in ((data.train, content[:30]), (data.test, content[30:])):
        assert split.x.dtype == split.y.dtype == np.int64
        count = (len(part) - 1) // LENGTH
        assert split.x.shape == split.y.shape == (count, LENGTH)
        assert bytes(split.x.ravel().tolist()) == part[: count * LENGTH]
        assert bytes(split.y.ravel().tolist()) == part[1 : count * LENGTH + 1]


def test_the_last_byte_of_a_part_is_a_target_of_that_part(tmp_path: Path) -> None:
    """Nothing of the test part is seen in training."""
    (tmp_path / "t").write_bytes(b"a" * 75 + b"b" * 25)
    data = load(text(), tmp_path)
    assert set(np.unique(data.train.y)) == {ord("a")}
    assert set(np.unique(data.test.x)) == {ord("b")}


def test_a_folder_is_its_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, content in (("b.py", "bbbb"), ("a/z.py", "aaaa"), ("B.py", "BBBB"), ("c.txt", "cccc")):
        path = tmp_path / "t" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content * 4)
    data = load(text(files="**/*.py"), tmp_path)
    read = bytes([*data.train.x.ravel(), *data.test.x.ravel()])
    assert bytes(dict.fromkeys(read)) == b"Bab"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"path": "gone"}, r"`gone` \(`data.path`\) is not a file: paths in a spec start from"),
        ({"path": "folder"}, r"no file in `folder` \(`data.path`\) matches '\*\*/\*.txt'"),
        ({"length": 30}, r"the `train` part of `t` \(`data.path`\) has 30 bytes"),
        ({"length": 12}, r"the `test` part of `t` \(`data.path`\) has 10 bytes"),
        ({"path": "folder", "files": "/x"}, r"`data.files` '/x' is no pattern"),
        ({"path": "empty"}, r"^`empty` \(`data.path`\) holds no text: give a file that is not empty"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, more: dict[str, object], message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").touch()
    (tmp_path / "t").write_bytes(b"x" * 40)
    with pytest.raises(FacError, match=message):
        load(text(**more), tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    (tmp_path / "t").write_bytes(b"x" * 40)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FacError, match=r"^`t` \(`data.path`\) cannot be read: permission denied$"):
        load(text(), tmp_path)
