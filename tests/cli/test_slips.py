"""What people write for what is called otherwise here: each message says what to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train", "{spec}", "--set", "lr=0.1"), "it stands in `update`: `update.lr`"),
        (("train", "{spec}", "--set", "epochs=3"), "it stands in `train`: `train.epochs`"),
        (("sweep", "{spec}", "--over", "lr=0.1,0.2"), "it stands in `update`: `update.lr`"),
        (
            ("compare", "{spec}", "--rules", "direct-ldfa"),
            "`direct-ldfa`; did you mean `direct_ldfa`?",
        ),
        (("sweep", "{spec}", "--over", "update.lr=1,2", "--rules", "BP"), "did you mean `bp`?"),
        (("compare", "{spec}", "--rules", "qqqq"), "no rule is called `qqqq`; installed are `bp`, "),
        (
            ("sweep", "{spec}", "--over", "update.lr=1,2", "--rank", "4"),
            "'--rank'. Write `--over feedback.rank=1,2,4`",
        ),
        (
            ("compare", "{spec}", "--log", "tensorboard"),
            " The spec says what else each run logs to",
        ),
        (("train", "{spec}", "--set", "data.validation=0"), "leave it out for none"),
        (("train", "{spec}", "--set", "update.lr=0"), "must be greater than 0, is 0\n"),
        (("compare", "c.compare.yaml"), "`seed` is not a field of a comparison file"),
    ],
)
def test_a_slip_is_answered_with_what_to_write(
    run: Run, spec: Path, arguments: tuple[str, ...], told: str
) -> None:
    Path("c.compare.yaml").write_text(f"compare: 1\nspecs: [{spec}]\nseed: 5\n")
    status, out, err = run(*(word.format(spec=spec) for word in arguments))
    assert (status, out) in ((1, ""), (2, ""))
    assert told in err
    assert ("leave it out" in err) == ("leave it out" in told)


def test_runs_of_a_comparison_log_to_what_the_spec_says(run: Run, spec: Path) -> None:
    log = ("--set", "train.loggers=[tensorboard]", "--set", "train.epochs=1", "--backend", "reference")
    status, _, err = run("compare", str(spec), "--rules", "bp", "--seeds", "1", *log, "--out", "c")
    assert status == 0, err
    assert [*Path("c/runs/01-bp-seed-0").glob("**/events.out.tfevents.*")]
