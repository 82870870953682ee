"""What was chosen on a machine: where it is kept, who finds it again, and what of a file is not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fac.backend import Artifact, work
from fac.diagnostics import FacError
from fac.testing.nets import mlp
from fac.tuning import cache, held, tuned
from fac.tuning.cache import UnsoundError
from fac.tuning.trials import CHECKED, ROUNDS
from fac_reference import BACKEND
from tests.tuning.fakes import Fake, artifact, oracle

BEST = {"way": "quick", "call": "four"}
USUAL = {"way": "plain", "call": "one"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the cache."""
    monkeypatch.setenv("FAC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tuning"


def never() -> Artifact:
    raise AssertionError("nothing is measured")


def full(found: Fake) -> tuple[str, ...]:
    """Measure, and give the lines."""
    return tuned(found, "fake", "cpu", "full", oracle, found.time).lines


def auto(found: Fake) -> tuple[dict[str, str], tuple[str, ...]]:
    """The choices and the lines, by no clock."""
    made = tuned(found, "fake", "cpu", "auto", never, lambda: pytest.fail("a clock is asked"))
    return made.artifact.chosen(), made.lines


def test_what_was_measured_is_found_again_without_a_clock(folder: Path) -> None:
    assert auto(artifact()) == (USUAL, ())
    assert not folder.exists()
    lines = full(artifact())
    assert lines[0].startswith("tuned for ")
    assert [line.split()[:4] for line in lines[2:4]] == [
        ["way", "plain", "1.00", lines[2].split()[3]],
        ["way", "quick", "1.33", lines[3].split()[3]],
    ]
    assert "too far from float64" in lines[5]
    (kept,) = folder.iterdir()
    assert json.loads(kept.read_text())["choices"] == BEST
    assert auto(artifact()) == (BEST, ("as measured on this machine before: way `quick`, call `four`",))
    off = tuned(artifact(), "fake", "cpu", "off", never)
    assert (off.artifact.chosen(), off.lines) == (USUAL, ())


def test_full_measures_again_whatever_is_kept() -> None:
    full(artifact())
    found = artifact()
    full(found)
    assert found.time.made.count("plain one") == CHECKED + 2 + ROUNDS


def damaged(text: str) -> str:
    return text[: len(text) // 2]


def changed(**fields: Any) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | fields)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (damaged, "is damaged"),
        (lambda _: "", "is damaged"),
        (lambda _: "[" * 100_000, "is damaged"),
        (lambda _: "[]", "is damaged"),
        (lambda _: '"\\ud800"', "is damaged"),
        (changed(choices=["way"]), "is damaged"),
        (changed(choices={"way": 1}), "is damaged"),
        (changed(machine={"processor": "another"}), "was kept for something else, or by another fac"),
        (changed(work="0" * 16), "was kept for something else, or by another fac"),
        (changed(fac_tuning=2), "was kept for something else, or by another fac"),
        (changed(choices={"way": "gone"}), "`way` is `plain`, `quick`, `hardly`, `rough`, `wild` here, and not `gone`"),
        (changed(choices={"wya": "quick"}), "there is no choice `wya` here, did you mean `way`?"),
        (lambda text: text + " " * 100_000, "100,000"),
    ],
)  # fmt: skip
def test_a_file_that_nobody_kept_here_is_named_and_made_anew(
    folder: Path, change: Callable[[str], str], why: str
) -> None:
    full(artifact())
    (kept,) = folder.iterdir()
    sound = kept.read_text()
    kept.write_text(change(sound))
    choices, (line,) = auto(artifact())
    assert choices == USUAL
    assert why in line
    assert str(kept) in line
    assert kept.read_text() == change(sound)
    lines = full(artifact())
    assert (why in lines[0]) == ("here" not in why)  # else it is whole, and simply replaced
    assert kept.read_text() == sound
    assert auto(artifact())[0] == BEST


def test_bytes_that_are_no_text(folder: Path) -> None:
    full(artifact())
    (kept,) = folder.iterdir()
    kept.write_bytes(b"\xff\xfe")
    assert "is damaged" in auto(artifact())[1][0]


def test_where_nothing_can_be_written_the_choice_holds_all_the_same(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file in its place")
    made = tuned(found := artifact(), "fake", "cpu", "full", oracle, found.time)
    assert made.artifact.chosen() == BEST
    assert made.lines[-1].startswith("what was chosen is not kept for the next training: ")
    assert str(folder) in made.lines[-1]


def test_who_keeps_at_once_leaves_one_of_the_two() -> None:
    """And who reads in between finds the one or the other, whole."""
    key = cache.key(artifact(), "fake", "cpu")
    cache.keep(key, BEST, ())

    def writes(number: int) -> None:
        cache.keep(key, (BEST, USUAL)[number % 2], ())

    with ThreadPoolExecutor(4) as pool:
        written = [pool.submit(writes, number) for number in range(16)]
        read = [cache.find(key) for _ in range(100)]
        for each in written:
            each.result()
    assert all(found in (BEST, USUAL) for found in read)
    assert [path.name for path in key.place.parent.iterdir()] == [key.place.name]


def test_another_machine_has_another_file() -> None:
    key = cache.key(artifact(), "fake", "cpu")
    assert {"processor", "threads", "device", "numpy", "fac-compiler"} <= key.machine.keys()
    others = [replace(key, machine={**key.machine, name: "other"}) for name in key.machine]
    places = [one.place for one in (key, *others, replace(key, work="other"))]
    assert len({*places}) == len(places)
    cache.keep(key, BEST, ())
    assert cache.find(others[0]) is None
    others[0].place.write_bytes(key.place.read_bytes())
    with pytest.raises(UnsoundError, match="something else"):
        cache.find(others[0])


def test_seeds_and_rates_share_what_was_measured() -> None:
    """So all runs of a comparison could; what costs other time does not."""
    rates = {"rule": "sgd", "lr": 0.7}
    same = [
        artifact(),
        artifact(name="other"),
        artifact(update=rates),
        artifact(train={"seed": 5, "epochs": 9}),
    ]
    assert len({work(one, "fake") for one in same}) == 1
    wide = Fake(artifact().compiled, "float64")
    other = [
        artifact(train={"batch": 9}),
        artifact(feedback={"rule": "dfa"}),
        artifact(update={"rule": "sgd", "lr": 0.1, "momentum": 0.9}),
        artifact(layers=mlp(8, 7, 3)),
        wide,
    ]
    assert len({work(one, "fake") for one in (*same, *other)}) == 1 + len(other)
    assert work(artifact(), "another") != work(artifact(), "fake")


def test_what_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(FacError, match="there is no choice `speed` here; there are `way`, `call`"):
        artifact().choosing({"speed": "quick"})
    plain = BACKEND.emit(artifact().compiled, "float32")
    with pytest.raises(FacError, match="there is no choice `way` here; there are none"):
        plain.choosing({"way": "quick"})


def test_a_run_keeps_to_its_ways_as_far_as_they_are_right_here() -> None:
    made, lines = held(artifact(), BEST | {"gone": "x"}, "cpu")
    assert made.chosen() == BEST
    assert lines == ()
    made, lines = held(artifact(), {"way": "of-old", "call": "seven"}, "cpu")
    assert made.chosen() == USUAL
    assert lines == (
        "this run went with way `of-old`, which cannot be chosen here, and goes on with `plain`: equal up to rounding, "
        "not bit for bit",
    )
