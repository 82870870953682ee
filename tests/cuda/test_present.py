"""`make test-gpu` without a GPU: one line, and a failure, because nothing was tested."""

from __future__ import annotations

import pytest
import torch

from tests.gpu import present


def test_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"^no CUDA device here that torch .* can use: nothing was tested$"):
        present.main()


def test_another_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(SystemExit, match=r"^torch .* knows no CUDA: nothing was tested \(`make test-gpu` "):
        present.main()
