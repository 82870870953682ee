"""What docs/walkthrough.md shows runs as it stands, and does what it is for."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.conftest import run  # noqa: F401  # a fixture

Run = Callable[..., tuple[int, str, str]]
PAGE = (Path(__file__).parents[1] / "docs" / "walkthrough.md").read_text("utf-8")


def section(title: str) -> dict[str, list[str]]:
    """The fenced blocks of a section by their languages."""
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    found: dict[str, list[str]] = {}
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        found.setdefault(language, []).append(block)
    return found


def done(run: Run, blocks: list[str]) -> Iterator[str]:  # noqa: F811
    """What each of the commands prints."""
    for line in "".join(blocks).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "fac"
        status, out, err = run(*arguments)
        assert status == 0, f"{line}\n{out}{err}"
        yield out


def read(name: str) -> list[dict[str, str]]:
    with open(name, newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_to_predictions(run: Run) -> None:  # noqa: F811
    blocks = section("A table, to predictions")
    head = blocks["csv"][0].splitlines()[0]
    draw = np.random.default_rng(0)
    people = np.round(draw.uniform((18, 500, 0), (80, 4000, 9), (160, 3)))
    answers = np.where(people[:, 1] + 200 * people[:, 2] > 3000, "yes", "no")
    lines = [",".join([*map(str, row), answer]) for row, answer in zip(people, answers, strict=True)]
    Path("people.csv").write_text("\n".join([head, *lines]) + "\n")
    Path("asked.csv").write_text("\n".join([head.removesuffix(",answer"), "30,600,0", "30,3900,9"]) + "\n")
    Path("people.fac.yaml").write_text(blocks["yaml"][0])
    *_, told = done(run, blocks["sh"])
    assert told.startswith("wrote `people.html`: 1 run of 1 setting")
    found = read("answers.csv")
    assert [row["class"] for row in found] == ["no", "yes"]
    assert [*found[0]] == blocks["csv"][1].strip().split(",")


def test_a_module_of_pytorch_is_tuned_and_gets_its_weights_back(
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = section("A module of PyTorch, fine-tuned")
    monkeypatch.syspath_prepend(".")
    torch.manual_seed(0)
    made, taken = blocks["python"]
    Path("my_nets.py").write_text(made)
    before = {"1.weight": torch.rand(32, 64) / 32, "1.bias": torch.zeros(32)}
    before |= {"3.weight": torch.rand(10, 32) / 32, "3.bias": torch.zeros(10)}
    torch.save(before, "before.pt")
    *_, evaluated, _exported = done(run, blocks["sh"])
    accuracy = re.search(r"accuracy ([\d.]+) %", evaluated)
    assert accuracy is not None
    names: dict[str, object] = {}
    exec(compile(made + taken, "my_nets.py", "exec"), names)
    module = names["module"]
    assert isinstance(module, torch.nn.Module)
    assert not torch.equal(module.state_dict()["1.weight"], before["1.weight"])
    assert run("data", "small/spec.fac.yaml", "-o", "d", "--set", "data={source: digits}")[0] == 0
    with np.load("d/test.npz") as test:
        right = module(torch.from_numpy(test["x"])).argmax(1).numpy() == test["y"]
    assert 100 * right.mean() == pytest.approx(float(accuracy[1]), abs=0.3), "a sample more or less"


def test_a_folder_of_images(run: Run) -> None:  # noqa: F811
    blocks = section("A folder of images")
    draw = np.random.default_rng(0)
    for part, many in (("photos/train", 16), ("photos/test", 4), ("new", 2)):
        for colour, name in enumerate(("grass", "sky")):
            place = Path(part, name) if part != "new" else Path(part)
            place.mkdir(parents=True, exist_ok=True)
            for i in range(many):
                pixels = draw.integers(0, 120, (20, 24, 3))
                pixels[..., 1 + colour] += 130
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{name}{i}.png")
    Path("photos.fac.yaml").write_text(blocks["yaml"][0])
    *_, told = done(run, blocks["sh"])
    assert told.startswith("wrote `photos.html`: 9 runs of 5 settings"), (
        "of the training, three rules, and `frozen`"
    )
    assert [row["class"] for row in read("named.csv")] == ["grass", "grass", "sky", "sky"]
    assert Path("photos.onnx").stat().st_size > 1000
