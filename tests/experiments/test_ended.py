"""What a training leaves of its end, and who says it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fac
from fac.experiments.ended import read, told
from fac.training.loop import StoppedError
from fac.training.nonfinite import DivergedError
from tests.cli.conftest import run, spec  # noqa: F401  # fixtures

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")


@pytest.fixture
def diverged(run: Run, spec: Path) -> dict[str, object]:  # noqa: F811
    """What the folder `r` says of a training that diverged."""
    status, _, _err = run(
        "train", spec, *REFERENCE, "--out", "r", "--set", "update.lr=1e6", "--set", "train.seed=3"
    )
    assert status == 2
    found: dict[str, object] = json.loads(Path("r/outcome.json").read_text())
    return found


def test_a_training_that_diverged_says_so_to_whoever_uses_its_network(
    run: Run,  # noqa: F811
    diverged: dict[str, object],
) -> None:
    problem = diverged["problem"]
    assert isinstance(problem, str)
    step = re.search(r"at step (\d+) \(epoch", problem)
    assert step is not None
    assert (diverged["report"], diverged["step"], diverged["seed"]) == (None, int(step[1]), 3)
    said = f"this run diverged, and offers its last good state: {problem}"
    assert "first number that is not finite arises in layer" in said
    status, out, err = run("evaluate", "r", *REFERENCE, "--json")
    assert (status, said in err, json.loads(out)["remarks"]) == (0, True, [said])
    assert run("data", "small.fac.yaml", "-o", "d")[0] == 0
    for command in (
        ("predict", "r", "d/test.npz", *REFERENCE, "-o", "p.npz"),
        ("export", "r", "-o", "m.onnx"),
        ("export", "r/state.safetensors", "--to", "state_dict", "-o", "m.safetensors"),
    ):
        status, _, err = run(*command)
        assert (status, err.count(said)) == (0, 1), command
    status, _, err = run("plot", "r", "-o", "r.svg")
    assert f"`r`: {said}" in err
    status, _, err = run("report", "r", "-o", "r.html", "--no-samples")
    assert (status, f"! `digits-small`, `r`: {problem}" in err) == (0, True)
    assert "<td>diverged after epoch 1 !</td>" in Path("r.html").read_text()


def test_from_python_it_is_said_too(diverged: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    fac.evaluate("r", backend="reference")
    assert f"this run diverged, and offers its last good state: {diverged['problem']}" in caplog.messages


def test_a_result_that_is_hardly_one_is_kept(run: Run, spec: Path) -> None:  # noqa: F811
    assert run("train", spec, *REFERENCE, "--out", "r", "--set", "update.lr=1e-9")[0] == 0
    (concern,) = json.loads(Path("r/outcome.json").read_text())["concerns"]
    assert concern["kind"] == "chance"
    assert f"this run: chance: {concern['message']}" in run("evaluate", "r", *REFERENCE)[2]
    err = run("report", "r", "-o", "r.html", "--no-samples")[2]
    assert f"! `digits-small`, `r`: {concern['message']}" in err


def test_a_run_that_ended_well_says_nothing_and_has_a_file_without_times(spec: Path) -> None:  # noqa: F811
    files = []
    for name in ("a", "b"):
        fac.train(spec, out=spec.parent / name, backend="reference")
        files.append((spec.parent / name / "outcome.json").read_bytes())
        assert list(told(spec.parent / name)) == []
    assert files[0] == files[1]
    found = read(spec.parent / "a")
    assert found is not None
    assert found.report is not None
    assert (found.report.steps, found.report.start is not None) == (42, True)


def test_what_is_of_an_earlier_state_is_not_believed(run: Run, spec: Path) -> None:  # noqa: F811
    fac.train(spec, out="r", backend="reference")
    left = 30

    def stop() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    with pytest.raises(StoppedError):
        fac.train(resume="r", overrides=["train.epochs=4"], stop=stop)
    assert read(Path("r")) is None
    said = "`r/outcome.json` is of an earlier state of this run, which has gone on since and is not over"
    assert said in run("evaluate", "r", *REFERENCE)[2]
    notes = fac.report("r", measure=False).notes
    assert "`r/outcome.json` is of an earlier state of this run, and left out: it has gone on since" in notes
    fac.train(resume="r")
    assert list(told(Path("r"))) == []
    assert json.loads(Path("r/outcome.json").read_text())["step"] == 84


ODD = '{"report": {"best": null}, "concerns": [{"kind": []}], "problem": null, "audit": {"scale": {"a": 1}}}'


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"report": {}, "audit": null}', ODD, "[" * 10_000])
def test_what_is_no_outcome_is_named(run: Run, spec: Path, text: str) -> None:  # noqa: F811
    fac.train(spec, out="r", backend="reference", overrides=["train.epochs=1"])
    Path("r/outcome.json").write_text(text)
    said = "`r/outcome.json` is not what came of a run: remove it, and call again"
    status, _, err = run("evaluate", "r", *REFERENCE)
    assert (status, said in err) == (0, True)
    assert any(note.startswith(said) for note in fac.report("r", measure=False).notes)


def test_a_log_that_lost_lines_of_a_run_that_is_over_is_said(run: Run, spec: Path) -> None:  # noqa: F811
    fac.compare(spec, ["bp"], seeds=1, out="kept", backend="reference", audit=False)
    (place,) = Path("kept/runs").iterdir()
    whole = (place / "metrics.jsonl").read_text().splitlines(keepends=True)
    for kept, epoch in ((whole[:2], 1), (whole[:1], 0), ([], 0)):
        (place / "metrics.jsonl").write_text("".join(kept))
        said = f"lines of its `metrics.jsonl` are gone, which ends with epoch {epoch} of 2"
        assert f"! `bp`, `{place}`: {said}" in fac.report("kept", measure=False).notes
        assert any(said in line for line in told(place))
        assert (
            run("compare", spec, *REFERENCE, "--rules", "bp", "--seeds", 1, "--no-audit", "--out", "kept")[0]
            == 0
        )


def test_warnings_of_the_training_are_kept(run: Run, spec: Path) -> None:  # noqa: F811
    x = np.random.default_rng(0).normal(size=(5 * 64, 8, 8))
    samples = (x, np.arange(len(x)) % 10)
    several = ["train.accumulate=4", "train.epochs=1"]
    fac.train(spec, {"train": samples, "test": samples}, out="r", overrides=several, backend="reference")
    said = "`train.accumulate` is 4, and of 5 batches the last 1 fill no update"
    assert json.loads(Path("r/outcome.json").read_text())["said"] == [said]
    assert f"! `digits-small`, `r`: {said}" in fac.report("r", measure=False).notes
    assert f"this run: {said}" in list(told(Path("r")))


def test_what_the_audit_finds_is_printed_kept_and_drawn(run: Run, spec: Path) -> None:  # noqa: F811
    weak = ("--set", "feedback={rule: dfa, scale: 0.0001}", "--out", "r")
    status, out, _ = run("train", spec, *REFERENCE, *weak, "--audit")
    (mark,) = [line for line in out.splitlines() if line.startswith(" ! ")]
    assert (status, mark.startswith(" ! `logits` makes 100 % of the cosine")) == (0, True)
    found = json.loads(Path("r/outcome.json").read_text())["audit"]
    evaluated = json.loads(run("evaluate", "r", *REFERENCE, "--audit", "--json")[1])["audit"]
    assert found == {name: value for name, value in evaluated.items() if name != "said"}
    page = fac.report("r", measure=False)
    assert f"audit: `digits-small`, `r`: {mark.removeprefix(' ! ')}" in page.notes
    share = page.html.partition("Share in the cosine of all gradients</caption>")[2].partition("</table>")[0]
    assert re.findall(r"<td>([^<]*)</td>", share)[-1] == "1"
    assert f"{found['true']['fc1']:.3g} (fc1)" in page.html


def test_what_is_solved_has_nothing_to_look_at(run: Run, spec: Path) -> None:  # noqa: F811
    lines = spec.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("feedback", "update", "train"))]
    spec.write_text("\n".join([*kept, "solve: {rule: zorb}"]))
    status, _, err = run("train", spec, *REFERENCE, "--audit", "--out", "r")
    assert (status, "has no gradients to look at: leave out the audit" in err) == (2, True)
    assert not Path("r").exists()


def test_a_trained_object_has_its_audit(spec: Path) -> None:  # noqa: F811
    trained = fac.train(spec, backend="reference", audit=True, overrides=["train.epochs=1"])
    assert trained.audit is not None
    assert [*trained.audit.true] == ["fc1", "logits"]
    assert fac.train(spec, backend="reference", overrides=["train.epochs=1"]).audit is None


def test_a_state_that_diverged_before_its_first_step_leaves_no_folder(spec: Path) -> None:  # noqa: F811
    weights = {"fc1.weight": [[float("inf")] * 64] * 16}
    with pytest.raises((DivergedError, fac.FacError)):
        fac.train(spec, out=spec.parent / "r", init=weights, init_partial=True, backend="reference")
    assert not (spec.parent / "r").exists()
