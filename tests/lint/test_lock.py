"""`fac lock` and `fac check --locked`: what experiments come to, and what is no longer so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fac.cli import fac
from fac.diagnostics import FacError, SpecError
from fac.lint.lock import facts
from fac.lint.lock.facts import fingerprint
from fac.pipeline import compiled, lowered

SPEC = """\
fac: 1
name: example
input: {shape: [20]}
layers:
  - {kind: linear, name: fc1, out: 32}
  - {kind: relu}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
feedback: {rule: fa}
update: {rule: sgd, lr: 0.1}
data: {source: arrays, train: secret/a.npz, test: secret/b.npz}
train: {batch: 8}
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("lock", "a.fac.yaml")` in a folder with that spec -> exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    Path("a.fac.yaml").write_text(SPEC)

    def call(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(fac, arguments)
        if isinstance(result.exception, FacError):
            return 1 if isinstance(result.exception, SpecError) else 2, result.stdout, str(result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return call


def change(old: str, new: str, name: str = "a.fac.yaml") -> None:
    text = SPEC.replace(old, new)
    assert text != SPEC
    Path(name).write_text(text)


def found(run: Run, *paths: str) -> list[tuple[str, str]]:
    """Codes and messages."""
    out = run("check", "--locked", "--json", *paths)[1]
    return [(row["code"], row["message"]) for row in json.loads(out)["findings"]]


def test_facts_are_those_of_hand(run: Run) -> None:
    known = facts(lowered("a.fac.yaml"))
    assert list(known) == sorted(known)
    assert known["cost/parameters"] == 20 * 32 + 32 + 32 * 10 + 10
    assert known["cost/macs/forward"] == 8 * (20 * 32 + 32 * 10)
    # the gradients of both weights, and the error of fc1 through B [32, 10]
    assert known["cost/macs/backward"] == 8 * (20 * 32 + 32 * 10) + 8 * 32 * 10
    assert known["cost/macs/update"] == 0
    assert known["cost/feedback_words"] == 32 * 10
    assert known["shape/fc1"] == (32,)
    assert known["shape/logits.weight"] == (10, 32)
    assert known["setting/layers/fc1/out"] == 32
    assert known["setting/feedback/routes/logits/matrix/kind"] == "random"
    assert not any("secret" in str(value) for value in known.values())
    initial = compiled(lowered("a.fac.yaml")).initial()
    assert {name for name in known if name.startswith("initial/")} == {f"initial/{name}" for name in initial}


def test_a_fingerprint_is_sha_256_of_rounded_entries() -> None:
    array = np.array([[0.75, -1.5], [0.0, 1 / 3]])
    # the power of two above 1.5 is 2^1, so a grain is 2^-15
    grains = [round(value * 2**15) for value in (0.75, -1.5, 0.0, 1 / 3)]
    text = b"(2, 2) 1 " + b"".join(value.to_bytes(8, "little", signed=True) for value in grains)
    assert fingerprint(array) == f"sha256-{hashlib.sha256(text).hexdigest()}"
    assert fingerprint(array * (1 + 1e-12)) == fingerprint(array)
    assert len({fingerprint(a) for a in (array, array * 2, array.T, array.ravel(), array * (1 + 1e-4))}) == 5
    assert fingerprint(np.zeros(3)) == fingerprint(-np.zeros(3))


def test_a_lock_is_text_of_one_fact_a_line_and_always_the_same(run: Run) -> None:
    assert run("lock", "a.fac.yaml") == (0, "1 experiment locked in `fac.lock`\n", "")
    text = Path("fac.lock").read_text()
    known = facts(lowered("a.fac.yaml"))
    assert len(text.splitlines()) == 5 + len(known)
    assert "\n    setting/update/lr: 0.1\n" in text
    assert str(Path.cwd()) not in text
    Path("there").mkdir()
    assert run("lock", ".", "-o", "there/b.lock")[0] == 0
    assert Path("there/b.lock").read_text() == text.replace("file: a.", 'file: "../a.').replace(
        ".yaml\n", '.yaml"\n'
    )
    assert run("check", "--locked") == (0, "no findings in 1 file\n", "")
    assert run("check", "--locked", "--lock", "there/b.lock")[0] == 0


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (
            "lr: 0.1",
            "lr: 0.2",
            ["settings of `example` are not as in `fac.lock`: `update/lr` was 0.1 and is 0.2"],
        ),
        ("train: {batch: 8}", "train: {batch: 8, seed: 1}", ["initial values", "settings"]),
        ("out: 32", "out: 31", ["shapes", "initial values", "costs", "settings"]),
        ("{rule: fa}", "{rule: bp}", ["shapes", "initial values", "settings"]),
        ("batch: 8", "batch: 9", ["costs", "settings"]),
    ],
)
def test_what_changed_is_told(run: Run, old: str, new: str, messages: list[str]) -> None:
    run("lock", "a.fac.yaml")
    change(old, new)
    told = found(run)
    assert {code for code, _ in told} == {"FAC112"}
    assert [message[: len(start)] for (_, message), start in zip(told, messages, strict=True)] == messages
    assert run("check", "--locked")[0] == 1
    assert run("check")[0] == 0
    run("lock", "a.fac.yaml")
    assert run("check", "--locked")[0] == 0


def test_one_more_layer_without_a_name_does_not_move_the_others(run: Run) -> None:
    run("lock", "a.fac.yaml")
    change("layers:\n", "layers:\n  - {kind: flatten}\n")
    (settings,) = [message for _, message in found(run) if "settings" in message]
    assert settings.endswith("`fac.lock`: `layers/flatten_1/kind` was not there and is flatten")


def test_layout_and_short_hands_are_no_change(run: Run) -> None:
    run("lock", "a.fac.yaml")
    routes = "{routes: [{through: logits, matrix: {kind: random, init: like_forward}}]}"
    change("feedback: {rule: fa}", f"# written out\nfeedback: {routes}")
    assert found(run) == []


def test_experiments_are_missing_gone_renamed_or_two_of_one_name(run: Run) -> None:
    run("lock", "a.fac.yaml")
    change("name: example", "name: other", "b.fac.yaml")
    assert found(run) == [("FAC113", "the experiment `other` is not in the lock `fac.lock`")]
    change("name: example", "name: other")
    Path("b.fac.yaml").unlink()
    assert [message for _, message in found(run)] == [
        "the experiment `other` is not in the lock `fac.lock`",
        "the lock names the experiment `example`, and `a.fac.yaml` has another name now",
    ]
    run("lock", "a.fac.yaml")
    Path("a.fac.yaml").rename("c.fac.yaml")
    assert found(run) == []  # it moved, and is what it was
    change("name: example", "name: more")
    Path("c.fac.yaml").unlink()
    assert run("lock", "a.fac.yaml") == (
        0,
        "1 experiment locked in `fac.lock`\n",
        "`other` is no longer in the lock\n",
    )
    change("name: example", "name: more", "b.fac.yaml")
    assert [message for _, message in found(run)] == [
        "`a.fac.yaml` is an experiment of the name `more`, too: the lock knows one of that name"
    ]
    status, _, err = run("lock", ".")
    assert (status, err[:55]) == (2, "`a.fac.yaml` and `b.fac.yaml` are both called `more`: g")
    Path("a.fac.yaml").unlink()
    Path("b.fac.yaml").unlink()
    Path("d.fac.yaml").write_text(SPEC.replace("name: example", "name: more"))
    Path("e.fac.yaml").write_text(SPEC)
    status, out, _ = run("check", "--locked", "e.fac.yaml", "--output-format", "concise")
    assert status == 1
    assert "`a.fac.yaml` does not exist" in out


def test_what_is_not_checked_is_not_gone(run: Run) -> None:
    change("name: example", "name: other", "b.fac.yaml")
    run("lock", ".")
    assert run("check", "--locked", "b.fac.yaml")[0] == 0


def test_findings_are_selected_and_ignored_as_others_are(run: Run) -> None:
    run("lock", "a.fac.yaml")
    change("lr: 0.1}", "lr: 0.2}  # fac: ignore[FAC112] a trial")
    assert run("check", "--locked") == (0, "no findings in 1 file, 1 ignored\n", "")
    assert run("check") == (0, "no findings in 1 file\n", "")
    change("lr: 0.1}", "lr: 0.2}")
    assert run("check", "--locked", "--ignore", "changed-lock")[0] == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it does not say `lock: 1`"),
        (SPEC, "it does not say `lock: 1`"),
        ("<<<<<<< ours\n", "it does not say `lock: 1`"),
        ("lock: 1\n<<<<<<< ours\nexperiments: {}\n", "line 3: not YAML: "),
        ("lock: 2\nexperiments: {}\n", "it is of version 2, and this `fac` reads version 1"),
        ("lock: 1\n", "`experiments` is no mapping of names"),
        ("lock: 1\nexperiments: {a: {x: 1}}\n", "the experiment `a` names no `file`"),
        ("lock: 1\nexperiments: {a: {file: b, x: 1}}\n", "`experiments.a.x` is no fact"),
        ("lock: 1\nexperiments: {a: {file: b, setting: 1}}\n", "`experiments.a.setting` is no fact"),
        ("lock: 1\nlock: 1\nexperiments: {}\n", "line 2: "),
    ],
)
def test_damaged_locks(run: Run, text: str, reason: str) -> None:
    Path("fac.lock").write_text(text)
    status, _, err = run("check", "--locked")
    assert status == 2
    assert err.startswith(f"`fac.lock` is no lock: {reason}")
    assert err.endswith("; write it again with `fac lock`")


def test_a_lock_replaces_a_damaged_one_and_nothing_else(run: Run) -> None:
    run("lock", "a.fac.yaml")
    whole = Path("fac.lock").read_text()
    Path("fac.lock").write_text(whole.replace("    file:", "<<<<<<< ours\n    file:"))
    assert run("lock", "a.fac.yaml")[0] == 0
    assert Path("fac.lock").read_text() == whole
    Path("notes").write_text("mine")
    assert run("lock", "a.fac.yaml", "-o", "notes")[::2] == (
        2,
        "`notes` is there, and no lock: give another `--output`",
    )
    assert Path("notes").read_text() == "mine"
    change("kind: relu", "kind: rleu")
    assert run("lock", "a.fac.yaml")[0] == 1
    assert Path("fac.lock").read_text() == whole
    assert {code for code, _ in found(run)} == {"FAC105"}


@pytest.mark.parametrize("arguments", [("--lock", "a"), ("--locked", "--diff")])
def test_options_that_make_no_sense(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("check", *arguments)[0] == 2


def test_copies_in_folders_that_fac_made_are_left_out_and_that_is_said(run: Run) -> None:
    Path("specs").mkdir()
    Path("a.fac.yaml").rename("specs/a.fac.yaml")
    assert run("lock", "specs")[0] == 0
    for folder in ("compared/runs/01-bp-seed-0", "runs/example-1", "swept/trials/01-bp/000"):
        Path(folder).mkdir(parents=True)
        Path(folder, "spec.fac.yaml").write_text(SPEC.replace("lr: 0.1", "lr: 0.2"))
        for name in ("state.safetensors", "metrics.jsonl"):
            Path(folder, name).touch()
    for name in ("compared/plan.json", "swept/sweep.json"):
        Path(name).touch()
    status, out, err = run("check", "--locked")
    assert (status, out) == (0, "no findings in 1 file\n")
    assert err.count("3 folders that fac made (runs, comparisons, sweeps) are left out, such as ") == 1
    assert "3 folders that fac made" in run("lock", ".")[2]
    for path in ("swept", "compared", "runs"):
        status, _out, err = run("lock", path)
        assert (status, "name the spec that these were made of" in err) == (2, True)
    assert run("check", "runs/example-1")[1] == "no findings in 1 file\n", "one that is named is read"


def test_a_copy_elsewhere_is_not_taken_for_the_spec_that_is_locked(run: Run) -> None:
    Path("specs").mkdir()
    Path("specs/a.fac.yaml").write_text(SPEC)
    Path("a.fac.yaml").unlink()
    assert run("lock", "specs")[0] == 0
    Path("copies").mkdir()
    Path("copies/a.fac.yaml").write_text(SPEC.replace("lr: 0.1", "lr: 0.2"))
    out = run("check", "specs", "copies", "--locked")[1]
    assert "`specs/a.fac.yaml` is an experiment of the name `example`, too" in out
    assert "copies/a.fac.yaml:2:7" in out
    assert "are not as in" not in out
    Path("locks").mkdir()
    assert run("lock", "specs", "-o", "locks/one.lock")[0] == 0
    status, out, _err = run("check", "specs", "--locked", "--lock", "locks/one.lock")
    assert (status, out) == (0, "no findings in 1 file\n"), "whatever the way to it is called"


def test_what_tells_folders_that_fac_made_are_their_files() -> None:
    from fac.experiments import plan
    from fac.experiments.sweeps import planning
    from fac.lint.files import MADE
    from fac.training import folder

    assert MADE == ((folder.STATE, folder.METRICS), (plan.FILE, plan.RUNS), (planning.FILE,))


def test_of_a_comparison_file_it_is_said_what_to_lock(run: Run) -> None:
    Path("rules.compare.yaml").write_text("compare: 1\nspecs: [a.fac.yaml]\nrules: [bp]\n")
    status, _out, err = run("lock", "rules.compare.yaml")
    assert (status, "commit it, and lock its specs, `a.fac.yaml`" in err) == (2, True)
