"""`fac check --fix` and `--diff`: which findings are mended, how, and what is left alone."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fac.cli.check import COMMAND

CHECKS = Path(__file__).parent.parent / "checks"
TEMPLATE = """\
fac: 1  # the format
name: example
input: {shape: [6]}

layers:
  - {kind: linear, name: fc1, out: 8}
  - {kind: relu}
  # the last one
  - kind: linear
    name: logits  # classes
    out: 4
loss: {kind: cross_entropy}
feedback:
  subspaces:
    - {name: task, rank: 4}
  routes:
    - {to: fc1, from: task, matrix: {kind: random}}
update: {rule: sgd, lr: 0.1}
"""

SLIPS = {
    "key": ("out: 8", "uot: 8", "out: 8", "FAC103"),
    "key of another tool": ("lr: 0.1", "learning_rate: 0.1", "lr: 0.1", "FAC103"),
    "key of another tool, within": ("out: 8", "out_features: 8", "out: 8", "FAC103"),
    "kind of another tool": ("kind: relu", "kind: LeakyReLU", "kind: leaky_relu", "FAC105"),
    "kind of another name": ("- kind: linear", "- kind: Dense", "- kind: linear", "FAC105"),
    "key in quotes": ("out: 4", '"outt": 4', '"out": 4', "FAC103"),
    "key of the kind": ("- {kind: relu}", "- {knid: relu}", "- {kind: relu}", "FAC103"),
    "key of the kind elsewhere": ("- {kind: relu}", "- {type: relu}", "- {kind: relu}", "FAC103"),
    "kind": ("kind: relu", "kind: rleu", "kind: relu", "FAC105"),
    "kind in quotes": ("cross_entropy", "'crossentropy'", "'cross_entropy'", "FAC105"),
    "rule": ("rule: sgd", "rule: sdg", "rule: sgd", "FAC105"),
    "capitals": ("kind: relu", "kind: ReLU", "kind: relu", "FAC105"),
    "number": ("out: 8", 'out: "8"', "out: 8", "FAC102"),
    "number with a point": ("lr: 0.1", "lr: '0.1'", "lr: 0.1", "FAC102"),
    "whole number": ("out: 4", "out: 4.0", "out: 4", "FAC102"),
    "truth": ("out: 4", "out: 4\n    bias: no  # c", "out: 4\n    bias: false  # c", "FAC102"),
    "subspace": ("from: task", "from: tsak", "from: task", "FAC201"),
    "layer": ("to: fc1", 'to: "fcc1"', 'to: "fc1"', "FAC201"),
    "rank": ("rank: 4", "rank: 9", "rank: 4", "FAC301"),
}
"""What would be right, what is written, what it becomes, and the rule that says so."""

KEPT = {
    "two are alike": ("from: task", "from: fc"),
    "another number": ("to: fc1", "to: fc2"),
    "no number in JSON": ("out: 8", "out: '0x8'"),
    "a glob": ("to: fc1", 'to: "fcc*"'),
    "text for a list": ("shape: [6]", "shape: 6"),
    "a value that would not do there": ("out: 8", "out: 8, biass: zeros"),
    "a number that would not do there": ("out: 8", "out_features: 0"),
    "two keys for one": ("out: 8", "uot: 8, ou: 8"),
}
"""What would be right, and what is written that could mean more than that."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAC_OUTPUT_FORMAT", raising=False)
    return tmp_path


def check(*arguments: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(COMMAND, arguments, input=stdin)
    assert not result.exception or isinstance(result.exception, SystemExit)
    return result


def codes(file: str) -> list[str]:
    return [row["code"] for row in json.loads(check(file, "--json").stdout)["findings"]]


def fixed(text: str, name: str = "net.fac.yaml") -> str:
    """What `--fix` makes of the text of a file."""
    Path(name).write_bytes(text.encode())
    check(name, "--fix")
    return Path(name).read_bytes().decode()


# -- what is mended ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("good", "bad", "mended", "code"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_mended(good: str, bad: str, mended: str, code: str) -> None:
    broken = TEMPLATE.replace(good, bad, 1)
    Path("net.fac.yaml").write_text(broken)
    assert codes("net.fac.yaml") == [code]
    assert fixed(broken) == broken.replace(bad, mended, 1)
    assert codes("net.fac.yaml") == []


@pytest.mark.parametrize(("good", "bad"), KEPT.values(), ids=KEPT)
def test_what_could_mean_several_things_is_left(good: str, bad: str) -> None:
    broken = TEMPLATE.replace(good, bad, 1)
    assert fixed(broken) == broken
    assert codes("net.fac.yaml") != []


def test_json_is_mended_as_json() -> None:
    spec = {
        "fac": 1,
        "name": "example",
        "input": {"shape": [6]},
        "layers": [
            {"kind": "linear", "name": "fc1", "uot": "8", "bias": "no"},
            {"kind": "rleu"},
            {"kind": "linear", "name": "logits", "out": 4},
        ],
        "loss": {"kind": "cross_entropy"},
        "feedback": {
            "subspaces": [{"name": "idle", "rank": 2}],
            "routes": [
                {"to": "fc1", "matrix": {"kind": "low_rank", "rank": 9}},
                {"through": "fc1", "matrix": {"kind": "random"}},
            ],
        },
        "update": {"rule": "sgd", "lr": 0.1, "nesterov": True},
    }
    mended = json.loads(json.dumps(spec))
    mended["layers"] = [
        {"kind": "linear", "name": "fc1", "out": 8, "bias": False},
        {"kind": "relu"},
        {"kind": "linear", "name": "logits", "out": 4},
    ]
    mended["feedback"] = {
        "subspaces": [],
        "routes": [{"to": "fc1", "matrix": {"kind": "low_rank", "rank": 4}}],
    }
    mended["update"] = {"rule": "sgd", "lr": 0.1}
    for indent in (None, 2, "\t"):
        text = fixed(json.dumps(spec, indent=indent), "net.fac.json")
        assert json.loads(text) == mended
        assert codes("net.fac.json") == ["FAC503"], "a matrix of rank 4 for 4 classes saves nothing"
        if indent is None:
            assert text == json.dumps(mended)


def test_idle_things_are_removed_once_there_are_no_errors() -> None:
    text = TEMPLATE.replace("from: task", "from: loss")
    assert fixed(text) == text.replace("  subspaces:\n    - {name: task, rank: 4}\n", "  subspaces: []\n")
    # The layer that is missing may be the one that should read the subspace.
    text = text.replace("kind: relu", "kind: nonsense")
    assert fixed(text) == text
    text = TEMPLATE.replace("from: task", "from: los").replace("to: fc1", "to: f")
    assert "name: task" in fixed(text)


def test_of_two_equal_routes_one_is_removed() -> None:
    route = "    - {through: logits, matrix: {kind: random}}\n"
    text = TEMPLATE.replace("update:", f"{route}{route[:-1]}  # again\nupdate:").replace(
        "    - {to: fc1, from: task, matrix: {kind: random}}\n", ""
    )
    text = text.replace("  subspaces:\n    - {name: task, rank: 4}\n", "")
    assert fixed(text) == text.replace(f"{route[:-1]}  # again\n", "")
    other = text.replace("{kind: random}}  # again", "{kind: transpose}}")
    assert fixed(other) == other


def test_only_what_is_reported_is_mended() -> None:
    broken = TEMPLATE.replace("from: task", "from: tsak").replace("rank: 4", "rank: 40")
    Path("net.fac.yaml").write_text(broken)
    check("net.fac.yaml", "--fix", "--ignore", "FAC301")
    assert Path("net.fac.yaml").read_text() == broken.replace("tsak", "task")
    ignored = broken.replace("{kind: random}}", "{kind: random}}  # fac: ignore[FAC201] mine").replace(
        "40", "4"
    )
    assert fixed(ignored) == ignored, "the subspace is idle only because of the error"


GROUP = "update: {rule: sgd, lr: 0.1, groups: [{match: fc1.feedback.B, lr_scale: 2}]}"


@pytest.mark.parametrize(
    ("before", "after", "stays"),
    [
        # The matrix of the dead route is named elsewhere, in a group that goes first.
        ("update: {rule: sgd, lr: 0.1}", GROUP, False),
        # Without the dead route none is written out.
        ("update: {rule: sgd", "constraints: {allowed_rules: [routes]}\nupdate: {rule: sgd", True),
    ],
)
def test_a_fix_that_brings_an_error_about_is_not_made(before: str, after: str, stays: bool) -> None:
    dead = "    - {through: fc1, matrix: {kind: random}}\n"
    text = TEMPLATE.replace("  subspaces:\n    - {name: task, rank: 4}\n", "")
    text = text.replace("    - {to: fc1, from: task, matrix: {kind: random}}\n", dead)
    assert fixed(text) == text.replace(f"  routes:\n{dead}", "  routes: []\n")
    text = text.replace(before, after)
    rows = json.loads(check("-", "--json", stdin=text).stdout)["findings"]
    assert ("FAC303", stays) in [(row["code"], row["fix"] is None) for row in rows], (
        "what is promised is kept"
    )
    assert (dead in fixed(text)) == stays
    assert check("-", stdin=fixed(text)).exit_code == 0
    assert fixed(text.replace("out: 8", "uot: 8")) == fixed(text), "others are made all the same"


@pytest.mark.parametrize(("padding", "offered"), [(0, False), (60_000, True)])
def test_what_is_offered_is_tried_in_texts_of_common_size(padding: int, offered: bool) -> None:
    """The right spelling would give `logits` two routes, which is an error."""
    text = TEMPLATE.replace(
        "    - {to: fc1",
        "    - {through: logits, matrix: {kind: random}}\n"
        "    - {through: logitts, matrix: {kind: transpose}}\n    - {to: fc1",
    )
    text += f"# {'x' * padding}\n"
    rows = json.loads(check("-", "--json", stdin=text).stdout)["findings"]
    assert [row["fix"] is not None for row in rows if row["code"] == "FAC201"] == [offered]
    assert fixed(text) == text


def test_a_rank_that_fits_other_layers_of_a_glob_stays() -> None:
    """`*` means two layers, and 6 is too much for one of them only."""
    text = TEMPLATE.replace("  subspaces:\n    - {name: task, rank: 4}\n", "").replace(
        "{to: fc1, from: task, matrix: {kind: random}}", "{through: '*', matrix: {kind: low_rank, rank: 6}}"
    )
    rows = json.loads(check("-", "--json", stdin=text).stdout)["findings"]
    assert [(row["code"], row["fix"]) for row in rows if row["code"] == "FAC301"] == [("FAC301", None)]


def test_a_dead_route_stays_where_its_end_would_rename_another_matrix() -> None:
    """`fc1.feedback.2.B` would become `fc1.feedback.B`, which is drawn from another stream."""
    text = TEMPLATE.replace("    - {to: fc1", "    - {through: fc1, matrix: {kind: random}}\n    - {to: fc1")
    rows = json.loads(check("-", "--json", stdin=text).stdout)["findings"]
    assert [(row["code"], row["fix"]) for row in rows] == [("FAC303", None)]
    last = TEMPLATE.replace("update:", "    - {through: fc1, matrix: {kind: random}}\nupdate:")
    assert fixed(last) == TEMPLATE


# -- every rule ----------------------------------------------------------------------------------------------------


def _fixable() -> list[str]:
    found = []
    for folder in sorted(CHECKS.glob("FAC*")):
        if not (folder / "site").is_dir() and not (folder / "arguments.txt").exists():
            rows = json.loads(check(str(folder / "bad.yaml"), "--json").stdout)["findings"]
            found += [folder.name] if any(row["fix"] for row in rows) else []
    return found


FIXABLE = [
    "FAC102",
    "FAC103",
    "FAC105",
    "FAC201",
    "FAC225",
    "FAC228",
    "FAC301",
    "FAC303",
    "FAC307",
    "FAC314",
    "FAC337",
]


def test_rules_with_a_fix_in_their_bad_spec() -> None:
    assert _fixable() == FIXABLE


LATER = {
    "FAC303": ["nobody needs the error that this route passes from `fc1` to the input: nothing there learns"]
}
"""What can be mended once other findings are."""
REVEALED = {"FAC201": ["no route reads the subspace `whole`"]}
"""What is not looked for as long as a name is unknown."""


@pytest.mark.parametrize("code", FIXABLE)
def test_a_bad_spec_has_less_findings_afterwards_and_no_new_ones(code: str) -> None:
    before = (CHECKS / code / "bad.yaml").read_text()
    Path("net.fac.yaml").write_text(before)
    found = json.loads(check("net.fac.yaml", "--json").stdout)["findings"]
    result = check("net.fac.yaml", "--fix", "--json")
    left = json.loads(result.stdout)["findings"]
    later = LATER.get(code, [])
    count = sum(row["fix"] is not None for row in found) + len(later)
    assert result.stderr == f"fac: fixed {count} finding{'s' * (count > 1)} in 1 file\n"
    remaining = [row["message"] for row in found if row["fix"] is None and row["message"] not in later]
    remaining += REVEALED.get(code, [])
    assert sorted(row["message"] for row in left) == sorted(remaining)
    after = Path("net.fac.yaml").read_text()
    places = {
        line
        for row in found
        if row["fix"] or row["message"] in later
        for line in (row["line"] - 1, row["line"])
    }
    changed = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    for tag, start, end, _, _ in changed.get_opcodes():
        assert tag == "equal" or {n + 1 for n in range(start, end)} <= places


@pytest.mark.parametrize("code", FIXABLE)
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_and_the_byte_order_mark_stay(code: str, end: str) -> None:
    before = (CHECKS / code / "bad.yaml").read_text()
    expected = fixed(before)
    assert expected != before
    assert fixed("\ufeff" + before.replace("\n", end)) == "\ufeff" + expected.replace("\n", end)


# -- what is said, and where ---------------------------------------------------------------------------------------

BROKEN = TEMPLATE.replace("relu", "rleu").replace("out: 4", "uot: 4").replace("fc1, from", "fc7, from")


def test_fix_reports_what_is_left(folder: Path) -> None:
    Path("a.fac.yaml").write_text(BROKEN)
    Path("b.fac.yaml").write_text(TEMPLATE)
    result = check(".", "--fix", "--output-format", "concise")
    assert result.exit_code == 1
    assert result.stdout == ("a.fac.yaml:17:12: FAC201 no layer is called `fc7`\n1 error in 2 files\n")
    assert result.stderr == "fac: fixed 2 findings in 1 file\n"
    assert Path("b.fac.yaml").read_text() == TEMPLATE
    assert check(".", "--fix", "--quiet").stderr == ""
    assert sorted(path.name for path in folder.iterdir()) == ["a.fac.yaml", "b.fac.yaml"]


def test_a_fixed_file_passes() -> None:
    Path("net.fac.yaml").write_text(TEMPLATE.replace("relu", "rleu"))
    result = check("net.fac.yaml", "--fix")
    assert (result.exit_code, result.stdout) == (0, "no findings in 1 file\n")
    result = check("net.fac.yaml", "--fix")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_file_keeps_its_mode_and_its_link(folder: Path) -> None:
    (folder / "real.yaml").write_text(BROKEN)
    (folder / "real.yaml").chmod(0o640)
    (folder / "net.fac.yaml").symlink_to(folder / "real.yaml")
    check("net.fac.yaml", "--fix")
    assert (folder / "net.fac.yaml").is_symlink()
    assert (folder / "real.yaml").read_text() != BROKEN
    assert (folder / "real.yaml").stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_not_yaml_is_left() -> None:
    text = TEMPLATE.replace("relu}", "rleu")
    assert fixed(text) == text
    text = TEMPLATE.replace("relu", "rleu") + "name: again\n"
    assert fixed(text) == text


def test_standard_input_is_printed_mended() -> None:
    result = check("-", "--fix", stdin=BROKEN)
    assert result.exit_code == 1
    assert result.stdout == BROKEN.replace("rleu", "relu").replace("uot", "out")
    assert "no layer is called `fc7`" in result.stderr
    assert result.stderr.endswith("fac: fixed 2 findings in 1 file\n")
    raw = b"\xef\xbb\xbf" + TEMPLATE.replace("\n", "\r\n").encode()
    assert check("-", "--fix", stdin=raw).stdout_bytes == raw
    assert check("-", "--fix", stdin="a: [").stdout == "a: ["


def test_a_read_only_file_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everything, so the question is what is asked."""
    Path("net.fac.yaml").write_text(BROKEN)
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    result = check("net.fac.yaml", "--fix")
    assert (result.exit_code, result.stderr) == (2, "fac: cannot write `net.fac.yaml`: it is read-only\n")
    assert Path("net.fac.yaml").read_text() == BROKEN
    assert asked == [(os.path.realpath("net.fac.yaml"), os.W_OK)]


def test_excluded_standard_input_is_passed_on() -> None:
    Path("fac.toml").write_text("exclude = ['old']\n")
    result = check("-", "--fix", "--stdin-filename", "old/net.fac.yaml", stdin=BROKEN)
    assert (result.exit_code, result.stdout) == (0, BROKEN)


def test_a_fix_in_json() -> None:
    Path("net.fac.yaml").write_text(BROKEN)
    rows = json.loads(check("net.fac.yaml", "--json").stdout)["findings"]
    assert [row["fix"] for row in rows] == [
        {
            "message": "replace `rleu` by `relu`",
            "edits": [{"path": "layers[1].kind", "key": False, "text": '"relu"'}],
        },
        {
            "message": "replace `uot` by `out`",
            "edits": [{"path": "layers[2].uot", "key": True, "text": '"out"'}],
        },
    ]


# -- as a patch ----------------------------------------------------------------------------------------------------


def test_diff_prints_a_patch_and_changes_nothing() -> None:
    Path("net.fac.yaml").write_text(BROKEN)
    result = check("net.fac.yaml", "--diff")
    assert result.exit_code == 1
    assert result.stdout == (
        "--- net.fac.yaml\n"
        "+++ net.fac.yaml\n"
        "@@ -4,11 +4,11 @@\n"
        " \n"
        " layers:\n"
        "   - {kind: linear, name: fc1, out: 8}\n"
        "-  - {kind: rleu}\n"
        "+  - {kind: relu}\n"
        "   # the last one\n"
        "   - kind: linear\n"
        "     name: logits  # classes\n"
        "-    uot: 4\n"
        "+    out: 4\n"
        " loss: {kind: cross_entropy}\n"
        " feedback:\n"
        "   subspaces:\n"
    )
    assert result.stderr == "fac: would fix 2 findings in 1 file\n"
    assert Path("net.fac.yaml").read_text() == BROKEN


def test_diff_without_anything_to_fix() -> None:
    Path("net.fac.yaml").write_text(TEMPLATE.replace("fc1, from", "fc7, from"))
    result = check("net.fac.yaml", "--diff")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "fac: there is nothing to fix\n")
    assert check("net.fac.yaml", "nowhere.yaml", "--diff").exit_code == 2


def test_diff_into_a_file_and_with_status_0() -> None:
    Path("net.fac.yaml").write_text(BROKEN)
    result = check("net.fac.yaml", "--diff", "--exit-zero", "--output-file", "fix.patch")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path("fix.patch").read_text() == check("net.fac.yaml", "--diff").stdout


@pytest.mark.parametrize(
    "tool", [["patch", "-p0", "--binary"], ["git", "apply", "-p0"]], ids=["patch", "git"]
)
@pytest.mark.parametrize(
    "change",
    [
        str,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: "\ufeff" + text,
    ],
    ids=["as it is", "carriage returns", "no line end", "byte order mark"],
)
def test_other_programs_take_the_patch(tool: list[str], change: object, folder: Path) -> None:
    assert callable(change)
    text = change(BROKEN.replace("lr: 0.1", "learning_rate: 0.1").replace("fac: 1", "fac: '1'"))
    for name in ("net.fac.yaml", "two words.fac.yaml", "copy/net.fac.yaml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(text.encode())
    result = check("net.fac.yaml", "two words.fac.yaml", "--diff")
    assert shutil.which(tool[0]), f"the test needs `{tool[0]}`"
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    ended = subprocess.run(tool, input=result.stdout_bytes, capture_output=True, env=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    check("copy/net.fac.yaml", "--fix")
    expected = Path("copy/net.fac.yaml").read_bytes()
    assert expected != text.encode()
    assert Path("net.fac.yaml").read_bytes() == Path("two words.fac.yaml").read_bytes() == expected


# -- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fix", "--diff"), "--fix and --diff exclude each other"),
        (("--fix", "--set", "update.lr=1"), "--fix is about files as they are: leave out --set"),
        (("--diff", "--set", "update.lr=1"), "--diff is about files as they are: leave out --set"),
        (("--diff", "--statistics"), "--diff prints a patch: leave out --statistics"),
        (("--diff", "--json"), "--diff prints a patch: leave out --json"),
    ],
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...], message: str) -> None:
    result = check(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
