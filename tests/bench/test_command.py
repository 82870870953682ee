"""`fac bench` on the command line, and what it keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fac.bench import cases
from fac.bench.against import compared
from fac.bench.page import page
from fac.bench.picture import drawn
from fac.bench.results import BASELINE, read, require_place, text
from fac.diagnostics import FacError
from tests.bench.conftest import results

Run = Callable[..., tuple[int, str, str]]
KEPT = Path(__file__).parents[2] / "benchmarks" / "results" / "bench.json"


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, **made: object) -> str:
        (tmp_path / name).write_text(text(results(**made)))  # type: ignore[arg-type]
        return str(tmp_path / name)

    return write


def test_what_is_kept_comes_back(tmp_path: Path, kept: Callable[..., str]) -> None:
    path = Path(kept("a.json", bp=[2.0, 2.0]))
    assert read(path) == results(bp=[2.0, 2.0])
    case = read(path).cases["x"]
    assert case.gains("fac bp") == [2.0, 4.0]
    assert case.above("fac bp") == [1.0, 0.5]
    assert case.gains("nobody") is None
    assert require_place(path, results()) == read(path)
    with pytest.raises(FacError, match=r"was measured with another `machine` than this run has"):
        require_place(path, results("another"))
    with pytest.raises(FacError, match=r"has to end in `\.json`"):
        require_place(tmp_path / "a.txt", results())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "has format 2, and this version of fac reads 1"),
        ({"threads": "one"}, "threads: Input should be a valid integer"),
        ({"cases": {"x": 1}}, "cases.x: Input should be"),
        ({"other": 1}, "other: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_result_is_one_message(
    tmp_path: Path, run: Run, change: dict[str, object], says: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps({**json.loads(text(results())), **change}))
    status, out, err = run("bench", "--compare", str(tmp_path / "a.json"), str(tmp_path / "a.json"))
    assert (status, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_rounds_of_one_case_are_equally_many(tmp_path: Path) -> None:
    data = json.loads(text(results()))
    data["cases"]["x"]["timed"][BASELINE]["seconds"] = [1.0]
    (tmp_path / "a.json").write_text(json.dumps(data))
    with pytest.raises(FacError, match="contenders of one case have as many rounds"):
        read(tmp_path / "a.json")


def test_a_ratio_that_fell_is_a_finding(run: Run, kept: Callable[..., str]) -> None:
    before = kept("a.json", bp=[2.0, 4.0], dfa=[2.0, 4.0])
    after = kept("b.json", bp=[2.3, 4.6], dfa=[2.1, 4.2])
    status, out, _ = run("bench", "--compare", before, after)
    assert status == 1
    assert "| x | fac bp | 2.00 | 1.74 | 0.87 | fell |" in out
    assert "| x | fac dfa | 2.00 | 1.90 | 0.95 |  |" in out
    assert run("bench", "--compare", before, before)[0] == 0
    assert run("bench", "--compare", after, before)[0] == 0


def test_on_another_processor_nothing_fails(run: Run, kept: Callable[..., str]) -> None:
    before, after = kept("a.json", bp=[2.0, 4.0]), kept("b.json", processor="another", bp=[4.0, 8.0])
    status, out, err = run("bench", "--compare", before, after)
    assert status == 0
    assert "fell" not in out
    assert "other processors (a processor, then another): no ratio counts as fallen" in err


def test_what_one_run_lacks_is_said(run: Run, kept: Callable[..., str]) -> None:
    before, after = kept("a.json", bp=[2.0, 4.0], dfa=[2.0, 4.0]), kept("b.json", bp=[2.0, 4.0])
    status, _, err = run("bench", "--compare", before, after)
    assert status == 0
    assert "x, fac dfa was timed in" in err
    assert compared(results(), results()).rows == ()
    status, _, err = run("bench", "--compare", after, kept("c.json"))
    assert status == 2
    assert "no contender of fac in common" in err


def test_without_eager_there_is_nothing_to_compare(run: Run, kept: Callable[..., str]) -> None:
    before, after = kept("a.json", bp=[2.0, 4.0]), kept("b.json", bp=[2.0, 4.0])
    data = json.loads(Path(after).read_text())
    del data["cases"]["x"]["timed"][BASELINE]
    Path(after).write_text(json.dumps(data))
    _, _, err = run("bench", "--compare", before, after)
    assert f"x: the second file has no `{BASELINE}` to hold its contenders against: not compared" in err


def test_a_case_that_is_timed_again_is_replaced_and_an_interrupted_one_is_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "a.json")

    def made(name: str, *_: object, **__: object) -> object:
        return results(bp=[2.0, 4.0]).cases["x"]

    def ended(name: str, *_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("fac.bench.running.measured", made)
    assert run("bench", "mlp-64", "--out", out)[0] == 0
    before = Path(out).read_bytes()
    _, _, err = run("bench", "mlp-64", "--rounds", "7", "--out", out)
    assert f"`{out}` has mlp-64, 2 rounds of it: they will be replaced by 7" in err
    monkeypatch.setattr("fac.bench.running.measured", ended)
    _, _, err = run("bench", "mlp-64", "--out", out)
    assert f"no round of mlp-64 is kept; `{out}` is as it was" in err
    assert Path(out).read_bytes() == before


def test_a_case_that_is_not_timed_again_is_one_line(
    run: Run, tmp_path: Path, kept: Callable[..., str]
) -> None:
    """`make bench-compare` times three of many."""
    made = results(bp=[2.0, 4.0], dfa=[2.0, 4.0])
    (tmp_path / "a.json").write_text(
        text(made.model_copy(update={"cases": made.cases | {"y": made.cases["x"]}}))
    )
    status, _, err = run(
        "bench", "--compare", str(tmp_path / "a.json"), kept("b.json", bp=[2.0, 4.0], dfa=[2.0, 4.0])
    )
    assert (status, err.splitlines()) == (0, [f"y was timed in `{tmp_path / 'a.json'}` alone"])


def test_on_another_processor_nothing_at_all_fails(
    run: Run, tmp_path: Path, kept: Callable[..., str]
) -> None:
    """Where float32 products are another library's no case is the same, and what is wrong may be rounding there."""
    before, other = kept("a.json", bp=[2.0, 4.0]), results("another", bp=[2.0, 4.0])
    case = other.cases["x"].model_copy(update={"products": "medium"})
    wrong = other.cases["x"].model_copy(
        update={"left": {"fac bp": "after 2 steps it is 2e-02 from its oracle"}}
    )
    for change, said in ((case, "x: float32 products,"), (wrong, "x, fac bp: after 2 steps it is 2e-02")):
        after = tmp_path / "b.json"
        after.write_text(text(other.model_copy(update={"cases": {"x": change}})))
        status, _, err = run("bench", "--compare", before, str(after))
        assert status == 0
        assert said in err
        assert "other processors (a processor, then another): no ratio counts as fallen" in err


def test_who_was_timed_before_and_is_wrong_now_is_a_finding(run: Run, kept: Callable[..., str]) -> None:
    before, after = kept("a.json", bp=[2.0, 4.0], dfa=[2.0, 4.0]), kept("b.json", bp=[2.0, 4.0])
    data = json.loads(Path(after).read_text())
    data["cases"]["x"]["left"]["fac dfa"] = "after 2 steps it is 9e-01 from its float64 oracle"
    Path(after).write_text(json.dumps(data))
    status, _, err = run("bench", "--compare", before, after)
    assert status == 1
    assert "x, fac dfa: after 2 steps it is 9e-01 from its float64 oracle" in err


def test_the_page_says_ratios_floors_and_who_is_missing() -> None:
    made = page(results(bp=[2.0, 2.0], dfa=[1.0, 1.0]))
    assert "| `fac bp` | 2,000 | 2,000 to 2,000 | **3.00** | 2.50 to 3.50 | – | 1.00 | 0.75 | – |" in made
    assert "| `fac dfa` | 1,000 | 1,000 to 1,000 | **6.00** | 5.00 to 7.00 | – | 2.00 | – | – |" in made
    assert "- floor of `bp`: 2.0 M multiply-adds, 3.0 MB besides, 3,000 ms" in made
    assert "- left out: `a peer`, because `it is not installed`" in made
    picture = drawn(results(bp=[2.0, 2.0]))
    assert picture is not None
    assert b"fac bp: 3.00" in picture


def test_the_page_of_the_repository_is_that_of_its_results() -> None:
    found = read(KEPT)
    picture = drawn(found)
    assert picture is not None
    made = {".md": page(found, KEPT.with_suffix(".svg").name).encode(), ".svg": picture}
    for suffix, expected in made.items():
        if os.environ.get("FAC_UPDATE_GOLDEN"):
            KEPT.with_suffix(suffix).write_bytes(expected)
        assert KEPT.with_suffix(suffix).read_bytes() == expected
    assert set(found.cases) <= set(cases.CASES)


def test_usage(run: Run, kept: Callable[..., str]) -> None:
    status, out, _ = run("bench", "--list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(cases.CASES)
    status, _, err = run("bench", "mlp-1")
    assert status == 2
    assert "no case is called `mlp-1`; there are mlp-64, " in err
    status, _, err = run("bench", "--rules", "bp,dfb")
    assert status == 2
    assert "no rule of a case is called `dfb`; there are bp, " in err
    status, _, err = run("bench", "mlp-64", "--compare", kept("a.json"), kept("b.json"))
    assert status == 2
    assert "`--compare` takes two files, and times nothing" in err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"threads": 2}, "other numbers of threads (1, then 2): no ratio counts as fallen"),
        (
            {"clock": "wall time"},
            "other clocks (CPU time of the process, then wall time): no ratio counts as fallen",
        ),
    ],
)
def test_runs_that_were_measured_unlike_fail_nothing(
    run: Run, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    """That is said, and shown all the same."""
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(text(results(bp=[2.0, 4.0])))
    after.write_text(text(results(bp=[4.0, 8.0]).model_copy(update=changed)))
    status, out, err = run("bench", "--compare", str(before), str(after))
    assert (status, "0.50" in out) == (0, True)
    assert said in err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"says": "a wider one"}, "x: another network, `a network` and then `a wider one`: not compared"),
        ({"products": "medium"}, "x: float32 products, `highest` and then `medium`: not compared"),
    ],
)
def test_cases_that_are_not_the_same_are_not_compared(
    run: Run, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    before, after, other = tmp_path / "a.json", tmp_path / "b.json", results(bp=[4.0, 8.0])
    before.write_text(text(results(bp=[2.0, 4.0])))
    case = other.cases["x"].model_copy(update=changed)
    after.write_text(text(other.model_copy(update={"cases": {"x": case}})))
    status, _, err = run("bench", "--compare", str(before), str(after))
    assert status == 2
    assert said in err
    assert "nothing was compared" in err


@pytest.mark.parametrize(
    "given",
    [
        ("--compare", "A", "B", "--rounds", "3"),
        ("--compare", "A", "B", "--no-peers"),
        ("--list", "mlp-64"),
        ("--list", "--threads", "2"),
    ],
    ids=" ".join,
)
def test_an_option_that_would_be_ignored_is_refused(
    run: Run, kept: Callable[..., str], given: tuple[str, ...]
) -> None:
    files = {"A": kept("a.json", bp=[2.0, 4.0]), "B": kept("b.json", bp=[2.0, 4.0])}
    status, _, err = run("bench", *(files.get(word, word) for word in given))
    assert status == 2
    assert "times nothing: leave out all else" in err
