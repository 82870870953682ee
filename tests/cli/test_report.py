"""`fac report` at the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_plot import made

Run = Callable[..., tuple[int, str, str]]


def test_a_page_is_written(run: Run) -> None:
    status, out, err = run("report", made("a", 1), made("b", 2), "nothing", "-o", "r.html", "--title", "T")
    assert status == 0
    page = Path("r.html").read_bytes()
    assert out == f"wrote `r.html`: 2 runs of 1 setting, {len(page):,} bytes\n"
    assert "`nothing` does not exist\n" in err
    assert b"<title>T</title>" in page
    assert run("report", "a", "b", "nothing", "-o", "-", "--title", "T")[1].encode() == page


def test_mistakes_are_said(run: Run) -> None:
    made("a")
    for arguments, told in (
        (
            ("a", "-o", "r.pdf"),
            "a report is HTML, and `r.pdf` does not say so: end the name with `.html` or `.htm`",
        ),
        (
            ("a", "-o", "r"),
            "a report is HTML, and `r` does not say so: end the name with `.html` or `.htm`",
        ),
        (("gone", "-o", "r.html"), "there is nothing to report; `gone` does not exist"),
    ):
        status, out, err = run("report", *arguments)
        assert (status, out) == (2, "")
        assert err.endswith(f"fac: {told}\n")
    assert not Path("r.pdf").exists()
    assert run("report", "a", "-o", "R.HTM")[0] == 0
    status, _, err = run("report", "a", "-o", "r.html", "--backend", "none")
    assert (status, "no backend is called `none`" in err) == (2, True)


def test_a_figure_for_a_paper(run: Run) -> None:
    assert run(
        "plot", made("a"), "-o", "a.svg", "--what", "accuracy", "--width", "3.25in", "--font-size", "7"
    ) == (
        0,
        "drew `a.svg`: 1 panel of 1 run\n",
        "",
    )
    assert 'width="312"' in Path("a.svg").read_text()
    status, _, err = run("plot", "a", "-o", "a.svg", "--what", "energy")
    assert (status, err) == (
        2,
        "fac: no name in these logs is about `energy`; there is `other`, `loss`, `accuracy`, `time`, `alignment`\n",
    )
    assert run("plot", "a", "-o", "a.svg", "--width", "wide")[2].startswith("fac: `wide` is no width")


@pytest.mark.parametrize("command", ["report", "plot"])
def test_where_the_file_goes_is_looked_at_first(run: Run, command: str) -> None:
    suffix = "html" if command == "report" else "svg"
    Path(f"folder.{suffix}").mkdir()
    Path("file").touch()
    for output, told in (
        ("gone/x", "No such file"),
        ("folder", "Is a directory"),
        ("file/x", "Not a directory"),
    ):
        status, out, err = run(command, "no-run", "-o", f"{output}.{suffix}")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert f"cannot write `{output}.{suffix}`: " in err, told
