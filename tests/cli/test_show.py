"""`fac show` at the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fac.cli.show import COMMAND

Run = Callable[..., tuple[int, str, str]]
BROKEN = "feedback: {routes: [{to: fc1, from: tsak, matrix: {kind: random}}]}\n"


def test_the_table(run: Run, spec: Path) -> None:
    # Backward: 75,776 for gradients, 9,984 for errors, 6,504 for P and 6,144 for Q; backprop 75,776 + 10,240.
    status, out, err = run("show", spec)
    assert (status, err) == (0, "")
    assert (
        out
        == """\
 layer   kind    output  params  error from        operator      rank  update
 fc1     linear      16    1040  logits (through)  Q P, learned  9/10  sgd
 logits  linear      10     170  loss              exact            -  sgd
 backward multiply-adds: 1.30 of backprop     peak memory at batch 64: 44.9 KiB     weight transport: none
"""
    )


def test_what_is_set_before_the_first_step(run: Run, spec: Path) -> None:
    status, out, _ = run("show", spec, "--set", "train.prealign=unit", "--set", "feedback={rule: dfa}")
    assert status == 0
    assert " set on the first batch (prealign: unit): logits.weight\n" in out
    _, out, _ = run("show", spec, "--set", "train.prealign=drawn", "--set", "feedback={rule: dfa}", "--json")
    assert json.loads(out)["prealign"] == {"norm": "drawn", "weights": ["logits.weight"]}
    _, out, _ = run("show", spec, "--json")
    assert json.loads(out)["prealign"] is None


@pytest.mark.parametrize(
    ("edit", "of"),
    [
        ("layers.fc1.trainable=false", "1.00 of backprop with the same layers frozen "),
        (
            'update.groups=[{match: "fc1.*", trainable: false}]',
            "1.00 of backprop with the same layers frozen ",
        ),
        ("feedback={rule: shallow}", "0.12 of backprop "),
    ],
)
def test_of_what_the_cost_is_a_share(run: Run, spec: Path, edit: str, of: str) -> None:
    """What the rule freezes backpropagation trains; what the spec freezes it does not."""
    feedback = () if edit.startswith("feedback") else ("--set", "feedback={rule: bp}")
    status, out, _ = run("show", spec, "--set", edit, *feedback)
    assert status == 0
    assert f"backward multiply-adds: {of}" in out


def test_parts_can_be_asked_for_together(run: Run, spec: Path) -> None:
    status, out, _ = run("show", spec, "--updates", "--cost", "--batch", 2)
    assert status == 0
    updates, costs = out.split("\n\n")
    assert updates.startswith(" fc1.weight ")
    assert costs.startswith(" batch 2 ")


def test_the_long_form_can_be_used_as_a_spec(run: Run, spec: Path, tmp_path: Path) -> None:
    status, long, _ = run("show", spec, "--expand")
    assert status == 0
    (tmp_path / "long.fac.yaml").write_text(long)
    assert run("show", "long.fac.yaml", "--expand") == (0, long, "")
    assert run("show", "long.fac.yaml", "--json")[1] == run("show", spec, "--json")[1]


def test_after_a_pass(run: Run, spec: Path) -> None:
    status, out, _ = run("show", spec, "--after", "build")
    assert status == 0
    assert out.startswith("function step(\n    x: f[N, 8, 8],\n")
    status, out, err = run("show", spec, "--after", "nothing")
    assert (status, out) == (2, "")
    assert err.startswith("fac: no pass is called `nothing`; there are `build`, ")


def test_json_and_overrides(run: Run, spec: Path) -> None:
    status, out, _ = run("show", spec, "--json", "--set", "layers.fc1.out=4", "--set", "feedback.rank=99")
    data = json.loads(out)
    assert status == 0
    assert data["parameters"] == 65 * 4 + 5 * 10
    assert data["routes"][0]["rank"] == 4
    assert {"layers", "routes", "cost", "updates"} <= data.keys()
    assert data["cost"]["batch"] == 64


def test_findings_and_misuse(run: Run, spec: Path) -> None:
    status, out, err = run("show", spec, "--set", "layers.fc1.out=0")
    assert (status, out) == (1, "")
    assert "error[" in err
    assert run("show", "missing.fac.yaml")[0] == 2
    assert run("show", spec, "--batch", 0)[0] == 2
    status, out, err = run("show", spec, "--expand", "--json")
    assert (status, out) == (2, "")
    assert "leave out other options" in err


def test_a_picture_of_a_spec_with_errors(run: Run, spec: Path, tmp_path: Path) -> None:
    """It is drawn, and told what is wrong with it."""
    text = spec.read_text()
    start = text.index("feedback:")
    (tmp_path / "broken.fac.yaml").write_text(f"{text[:start]}{BROKEN}{text[text.index('update:', start) :]}")
    status, out, err = run("show", "broken.fac.yaml", "-o", "broken.svg")
    assert (status, out) == (1, "drew `broken.svg`, of a spec with errors\n")
    assert err.startswith("error[FAC201]: no error source is called `tsak`")
    assert "no such source" in (tmp_path / "broken.svg").read_text()
    (tmp_path / "none.fac.yaml").write_text("fac: 1\nlayers: 7\n")
    status, out, err = run("show", "none.fac.yaml", "-o", "none.svg")
    assert (status, out, (tmp_path / "none.svg").exists()) == (1, "", False)


def test_pictures_go_where_they_are_sent(run: Run, spec: Path, tmp_path: Path) -> None:
    assert run("show", spec, "-o", "a.svg") == (0, "drew `a.svg`\n", "")
    drawn = (tmp_path / "a.svg").read_text()
    assert run("show", spec, "-o", "-", "--format", "svg") == (0, drawn, "")
    assert run("show", spec, "-o", "picture", "--format", "svg") == (0, "drew `picture`\n", "")
    assert (tmp_path / "picture").read_text() == drawn
    assert run("show", spec, "-o", "bare.svg", "--bare", "--light")[0] == 0
    bare = (tmp_path / "bare.svg").read_text()
    assert "prefers-color-scheme" in drawn
    assert "prefers-color-scheme" not in bare
    assert len(bare) < len(drawn)


def test_a_kind_of_picture_that_is_not_known(run: Run, spec: Path) -> None:
    known = "`svg`, `png`, `pdf`, `dot`, `mmd`"
    assert run("show", spec, "-o", "a.gif") == (
        2,
        "",
        "fac: `a.gif` does not say which kind of picture it is: end the name with one of `.svg`, `.png`, `.pdf`, "
        "`.dot`, `.mmd`, or add --format\n",
    )
    assert run("show", spec, "-o", "-") == (
        2,
        "",
        f"fac: standard output does not say which kind of picture it takes: add --format, one of {known}\n",
    )
    assert run("show", spec, "-o", "-", "--format", "gif") == (
        2,
        "",
        f"fac: no kind of picture is called `gif`; there are {known}\n",
    )
    for option in (["--bare"], ["--light"], ["--format", "svg"]):
        status, out, err = run("show", spec, *option)
        assert (status, out) == (2, "")
        assert "add -o FILE" in err


def test_every_option_has_a_help_text() -> None:
    assert all(getattr(parameter, "help", "") for parameter in COMMAND.params if parameter.name != "spec")


def test_neither_a_framework_nor_numpy_is_imported(spec: Path) -> None:
    code = (
        "import sys; sys.argv = ['fac', 'show', sys.argv[1], '--cost']\n"
        "from fac.cli import main\n"
        "main()\n"
        "raise SystemExit(int(bool({'torch', 'numpy', 'rich'} & sys.modules.keys())))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, spec], stdout=subprocess.DEVNULL, check=False).returncode
        == 0
    )
