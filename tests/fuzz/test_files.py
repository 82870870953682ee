"""Files that come in, with bits turned, cut off, and other words in their headers: each is read, or is one message.

`FAC_FUZZ` asks for 20,000 of each kind. They are the same each time: `FAC_FUZZ_FROM` begins with others.
"""

from __future__ import annotations

import hashlib
import os
import random
import warnings
from collections import Counter
from pathlib import Path

import pytest

from fac import memory
from fac.diagnostics import SpecError
from fac.training.data import fashion_mnist
from tests.fuzz.choices import Choices
from tests.fuzz.files import KINDS, idx

EVERY_DAY, NIGHTLY = 300, 20_000
EACH = min(NIGHTLY, int(os.environ.get("FAC_FUZZ") or EVERY_DAY))
FIRST = int(os.environ.get("FAC_FUZZ_FROM") or 0)


@pytest.mark.parametrize("name", KINDS)
def test_a_changed_file_is_read_or_is_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "memory", lambda: 1 << 26)  # what is larger is refused before it is made
    monkeypatch.setattr(fashion_mnist, "SHA256", {KINDS["idx"].name: hashlib.sha256(idx(False)).hexdigest()})
    kind, ended = KINDS[name], Counter[str]()
    said: list[str] = []
    seeds, path = kind.seeds(), tmp_path / kind.name
    path.parent.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path.write_bytes(seed)
        kind.read(path)
    for number in range(FIRST, FIRST + EACH):
        choices = Choices(random.Random(f"{name} {number}").randbytes(200))
        change, seed = choices.one(kind.changes), choices.one(seeds)
        path.write_bytes(change(seed, choices))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # overflows of numbers that are too large
                kind.read(path)
            ended["read"] += 1
        except SpecError:
            ended["no spec"] += 1
        except kind.refusal as error:
            said.append(str(error))
            ended["refused"] += 1
        except BaseException as error:
            error.add_note(f"{name} {number}: {path.read_bytes()[:2000]!r}")
            raise
    assert not [text for text in said if "\n" in text or len(text) > 2000]
    assert ended["refused"] > EACH // 100 or name in ("text", "log", "manifest"), ended
    assert ended["read"] > EACH // 100, ended
