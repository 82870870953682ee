"""Settings files: which one holds, what it says, and what it extends."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fac.diagnostics import FacError, Severity
from fac.lint.selection import Selection
from fac.lint.settings import Lookup, Settings, load


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def refused(path: str = "fac.toml") -> str:
    """The message about a settings file."""
    with pytest.raises(FacError) as caught:
        load(path, ".")
    return str(caught.value)


# -- which file holds ----------------------------------------------------------------------------------------------


def test_none() -> None:
    write("pyproject.toml", "[tool.other]\n")
    settings = Lookup().of("a.fac.yaml")
    assert settings == Settings()


@pytest.mark.parametrize(("name", "head"), [("fac.toml", ""), ("pyproject.toml", "[tool.fac]\n")])
def test_the_nearest_upwards(name: str, head: str) -> None:
    write(name, f"{head}ignore = ['FAC2']\n")
    write(f"near/{name}", f"{head}ignore = ['FAC3']\n")
    write("near/deep/pyproject.toml", "[project]\nname = 'no settings'\n")
    lookup = Lookup()
    assert lookup.here.selection.ignore == ("FAC2",)
    assert lookup.of("a.fac.yaml").file == name
    assert lookup.of("other/a.fac.yaml").selection.ignore == ("FAC2",)
    near = lookup.of("near/deep/a.fac.yaml")
    assert (near.selection.ignore, near.file) == (("FAC3",), f"near/{name}")
    assert near is lookup.of("near/b.fac.yaml"), "each file is read once"
    assert lookup.of("<stdin>") is lookup.here


def test_two_in_one_folder() -> None:
    write("fac.toml", "")
    write("pyproject.toml", "[tool.other]\n")
    assert Lookup().here.file == "fac.toml"
    write("pyproject.toml", "[tool.fac]\n")
    with pytest.raises(FacError) as caught:
        _ = Lookup().here
    assert str(caught.value) == (
        "both `fac.toml` and `[tool.fac]` in `pyproject.toml` hold settings: keep one of them"
    )


def test_one_that_is_named_holds_everywhere() -> None:
    write("near/fac.toml", "ignore = ['FAC3']\n")
    write("ci/strict.toml", "ignore = ['FAC2']\nexclude = ['drafts/*']\n")
    settings = Lookup("ci/strict.toml").of("near/a.fac.yaml")
    assert settings.selection.ignore == ("FAC2",)
    assert settings.excludes("drafts/a.fac.yaml"), "its patterns start at the current folder"
    assert not settings.excludes("ci/drafts/a.fac.yaml")


def test_isolated() -> None:
    write("fac.toml", "ignroe = 1\n")
    assert Lookup(isolated=True).of("a.fac.yaml") == Settings()


# -- what it says --------------------------------------------------------------------------------------------------

EVERYTHING = """\
select = ["FAC3", "unknown-name"]
ignore = ["FAC305"]
fail-on = "warning"
output-format = "concise"
exclude = ["drafts"]
severity = { FAC301 = "warning", rank-above-limit = "warning" }
per-file-ignores = { "examples/*" = ["FAC3"] }
constraints = { max_rank = 16, peak_memory = { at_most = "1 GiB" } }
"""


@pytest.mark.parametrize("name", ["fac.toml", "pyproject.toml"])
def test_every_key(name: str) -> None:
    write(name, ("[tool.fac]\n" if name == "pyproject.toml" else "") + EVERYTHING)
    settings = load(name, ".")
    assert settings.selection == Selection(("FAC3", "FAC201"), ("FAC305",))
    assert settings.fail_on is Severity.WARNING
    assert settings.output_format == "concise"
    assert settings.exclude == ("drafts",)
    assert settings.severity == {"FAC301": "warning", "FAC351": "warning"}
    assert settings.per_file_ignores == {"examples/*": ("FAC3",)}
    assert settings.policy.constraints.max_rank == 16
    assert settings.policy.files == {"max_rank": name, "peak_memory": name}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct = []", "`selct` is not a field of `settings`; did you mean `select`?"),
        ("per-file-ignore = {}", "`per-file-ignore` is not a field of `settings`; "
         "did you mean `per-file-ignores`?"),
        ("select = 'FAC3'", "expected a list for `select`, found text `FAC3`"),
        ("ignore = ['FAC3', 7]", "expected text for `ignore[1]`, found `7`"),
        ("ignore = ['FAC3010']", "`ignore`: no rule is called `FAC3010`; did you mean `FAC301`?"),
        ("select = ['rank-limit']", "`select`: no rule is called `rank-limit`; "
         "did you mean `rank-above-limit`?"),
        ("severity = { FAC3010 = 'error' }", "`severity`: no rule is called `FAC3010`; "
         "did you mean `FAC301`?"),
        ("severity = { FAC301 = 'fatal' }", "expected `error` or `warning` for `FAC301`, found text `fatal`"),
        ("per-file-ignores = { 'a/*' = 'FAC3' }", "expected a list for `a/*`, found text `FAC3`"),
        ("per-file-ignores = { 'a/*' = ['qqq'] }", "`per-file-ignores`: no rule is called `qqq`; "
         "`fac rule` lists all of them"),
        ("fail-on = 'never'", "expected `error` or `warning` for `fail-on`, found text `never`"),
        ("output-format = 'xml'", "no `output-format` is called `xml`; there are `full`, `concise`, "),
        ("constraints = { max_rnk = 4 }", "`max_rnk` is not a field of `settings.constraints`; "
         "did you mean `max_rank`?"),
        ("constraints = { max_rank = 0 }", "`max_rank` must be greater than 0, is 0"),
        ("constraints = { peak_memory = { at_most = '1 GiG' } }", "`1 GiG` is not an amount of memory, "
         "such as `256 MiB`"),
        ("exclude = [2026-01-01]", "a value of type `date` is not plain data"),
        ("select = [", "is not TOML: "),
        ("[tool.fac]", "has its settings under `[tool.fac]`: only `pyproject.toml` needs that, remove it"),
    ],
)  # fmt: skip
def test_mistakes(text: str, message: str) -> None:
    write("fac.toml", text + "\n")
    told = refused()
    assert told.startswith(("`fac.toml`: ", "`fac.toml` "))
    assert message in told


def test_other_mistakes(root: Path) -> None:
    assert refused("nowhere.toml") == "`nowhere.toml` does not exist"
    (root / "fac.toml").write_bytes(b"ignore = ['caf\xe9']\n")
    assert refused() == "`fac.toml` is not TOML: byte 0xe9 is not UTF-8"
    write("pyproject.toml", "[tool]\nfac = 3\n")
    assert refused("pyproject.toml") == "`pyproject.toml`: `tool.fac` is not a table"
    write("pyproject.toml", "[project]\n")
    assert refused("pyproject.toml") == "`pyproject.toml` has no `[tool.fac]`"
    (root / "folder.toml").mkdir()
    assert refused("folder.toml") == "`folder.toml` is a folder: name a file"


# -- what it extends -----------------------------------------------------------------------------------------------


def test_lists_extend_and_tables_merge() -> None:
    write("team/policy.toml", """\
extends = "base.toml"
select = ["FAC2"]
ignore = ["FAC205"]
exclude = ["drafts"]
fail-on = "warning"
severity = { FAC301 = "warning", FAC302 = "warning" }
per-file-ignores = { "a/*" = ["FAC2"], "b/*" = ["FAC2"] }
""")  # fmt: skip
    write("team/base.toml", "output-format = 'json'\nfail-on = 'error'\n")
    write("repo/pyproject.toml", """\
[tool.fac]
extends = "../team/policy.toml"
select = ["FAC3"]
ignore = ["FAC305"]
exclude = ["old"]
[tool.fac.severity]
FAC302 = "error"
[tool.fac.per-file-ignores]
"b/*" = ["FAC3"]
""")  # fmt: skip
    settings = load("repo/pyproject.toml", "repo")
    assert settings.selection == Selection(("FAC2", "FAC3"), ("FAC205", "FAC305"))
    assert settings.exclude == ("drafts", "old")
    assert settings.severity == {"FAC301": "warning", "FAC302": "error"}
    assert settings.per_file_ignores == {"a/*": ("FAC2",), "b/*": ("FAC3",)}
    assert (settings.fail_on, settings.output_format) == ("warning", "json")
    assert settings.reports("FAC301", "repo/a/x.fac.yaml")
    assert not settings.reports("FAC201", "repo/a/x.fac.yaml"), "patterns start at the file that was found"
    assert settings.reports("FAC201", "team/a/x.fac.yaml")


def test_a_missing_file() -> None:
    write("fac.toml", "extends = 'policy/p.toml'\n")
    assert refused() == "`fac.toml` extends `policy/p.toml`, which does not exist"
    write("policy/p.toml", "extends = '../pyproject.toml'\n")
    assert refused() == "`policy/p.toml` extends `pyproject.toml`, which does not exist"
    write("pyproject.toml", "")
    assert refused() == "`policy/p.toml` extends `pyproject.toml`, which has no `[tool.fac]`"


def test_a_circle() -> None:
    write("fac.toml", "extends = 'a.toml'\n")
    write("a.toml", "extends = 'b/b.toml'\n")
    write("b/b.toml", "extends = '../a.toml'\n")
    assert refused() == "`a.toml` extends `b/b.toml`, which extends `a.toml`: remove one `extends`"
    write("fac.toml", "extends = 'fac.toml'\n")
    assert refused() == "`fac.toml` extends `fac.toml`: remove one `extends`"


def test_a_mistake_names_the_file_that_makes_it() -> None:
    write("fac.toml", "extends = 'policy.toml'\n")
    write("policy.toml", "ignore = ['FAC3', 'FAC3010']\n")
    assert refused() == "`policy.toml`: `ignore`: no rule is called `FAC3010`; did you mean `FAC301`?"


# -- options come first --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("select", "ignore", "reported"),
    [
        ((), (), {"FAC201": True, "FAC205": False, "FAC301": False}),
        (("FAC205",), (), {"FAC201": False, "FAC205": True, "FAC301": False}),
        (("FAC3",), ("FAC301",), {"FAC201": False, "FAC301": False, "FAC302": True}),
        ((), ("FAC20",), {"FAC201": False, "FAC205": False, "FAC207": False}),
    ],
)
def test_options(select: tuple[str, ...], ignore: tuple[str, ...], reported: dict[str, bool]) -> None:
    write("fac.toml", "select = ['FAC2']\nignore = ['FAC205']\nfail-on = 'error'\n")
    settings = Lookup(select=select, ignore=ignore, fail_on=Severity.WARNING).here
    assert {code: settings.reports(code, "a.fac.yaml") for code in reported} == reported
    assert settings.fail_on is Severity.WARNING


def test_an_option_that_names_no_rule() -> None:
    with pytest.raises(FacError, match=r"^`--select`: no rule is called `FAC1010`; did you mean `FAC101`\?$"):
        Lookup(select=("FAC3,FAC1010",))


@pytest.mark.parametrize("part", ["a", '"a"', "'a.b'", ' "a\\"b" ', " a\t", "a-b_1"])
@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("KEY = 1", 1),
        ("[KEY]", 1),
        ("[[KEY]]", 1),
        ("x = { KEY = 1 }", 1),
        ("# c\n\nx = [1, { KEY = 1 }]", 3),
    ],
)
def test_a_key_that_takes_a_minute_to_read_is_refused_before_it_is_read(
    line: str, number: int, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of Python's own reader grows with the square of its parts, however they are written."""
    monkeypatch.setattr(tomllib, "loads", None)
    for name in ("fac.toml", "pyproject.toml"):
        write(name, line.replace("KEY", ".".join([part] * 30_000)) + "\n")
        with pytest.raises(FacError) as caught:
            load(name, ".")
        assert str(caught.value) == (
            f"`{name}`: the key on line {number} has more than 50 parts: nest less deep"
        )


def test_as_many_parts_as_a_key_may_have() -> None:
    deep = ".".join(["tool"] * 50)
    write("pyproject.toml", f"[{deep}]\nx = 'a.b'\n[tool.fac]\nselect = ['FAC3']\n")
    assert load("pyproject.toml", ".").selection.select == ("FAC3",)


@pytest.mark.parametrize(
    "text", ['"', "'", '"a', "'a", '\\"', "a", "a ", "-", ".", "a.", '"a.', "'\"", "[", "# "]
)
def test_a_megabyte_of_anything_is_looked_through(text: str) -> None:
    """One that were looked through in the square of its length would take hours."""
    write("fac.toml", text * (900_000 // len(text)) + "\n=")
    assert refused()
