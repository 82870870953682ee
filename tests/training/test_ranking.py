"""Ranks that a training measures: mean gradients by hand in NumPy, and what a run keeps of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import fac
from fac import pipeline, source
from fac.cli.lock import COMMAND as LOCK
from fac.cli.show import COMMAND as SHOW
from fac.diagnostics import FacError
from fac.experiments.comparing import Design, compared
from fac.experiments.job import Where
from fac.spec.ranks import AutoRank
from fac.training.dataset import Dataset, Split, order
from fac.training.ranking import Pair, choose, energies, ranked

Array = NDArray[np.float64]
EXACT = Where("reference", precision="float64")
DRAW = np.random.default_rng(0)
IN, HIDDEN, OUT, BATCH, RATE = 8, 7, 6, 8, 0.1
TEACHER = DRAW.standard_normal((OUT, 2)) @ DRAW.standard_normal((2, IN)) / 4
X = DRAW.standard_normal((48, IN))
LINEAR = Dataset("linear", Split(X, X @ TEACHER.T), Split(X[:8], X[:8] @ TEACHER.T))


def spec(feedback: Any, std: float = 0.01, **train: Any) -> dict[str, Any]:
    """A linear network of three layers, and its loss: the mean over samples and outputs of (z - y)^2."""
    init = {"kind": "normal", "std": std}
    layers = [
        {"kind": "linear", "name": name, "out": out, "bias": False, "init": init}
        for name, out in (("fc1", HIDDEN), ("fc2", HIDDEN), ("out", OUT))
    ]
    return {
        "fac": 1,
        "name": "linear",
        "input": {"shape": [IN]},
        "layers": layers,
        "loss": {"kind": "mse"},
        "feedback": feedback,
        "update": {"rule": "sgd", "lr": RATE},
        "train": {"epochs": 2, "batch": BATCH, "seed": 3, **train},
    }


def measured(feedback: Any, **changes: Any) -> tuple[Any, tuple[str, ...]]:
    document = source.from_data(spec(feedback, **changes))
    program = pipeline.lowered(document)
    found, lines = ranked(document, program, LINEAR, pipeline.find_backend("reference"), "float64")
    return found.data["feedback"], lines


def by_hand(weights: dict[str, Array], steps: int) -> dict[str, Array]:
    """The mean over steps of plain descent of dL/dW of each layer, and of e^T h1, e the error of the output."""
    w, sums = {name: weights[f"{name}.weight"].copy() for name in ("fc1", "fc2", "out")}, dict[str, Array]()
    rows = np.concatenate([order(3, epoch, len(X)) for epoch in range(2)])
    for step in range(steps):
        x = X[rows[step * BATCH : (step + 1) * BATCH]]
        h1 = x @ w["fc1"].T
        h2 = h1 @ w["fc2"].T
        e = 2 * (h2 @ w["out"].T - x @ TEACHER.T) / (BATCH * OUT)
        d2 = e @ w["out"]
        found = {"fc1": (d2 @ w["fc2"]).T @ x, "fc2": d2.T @ h1, "out": e.T @ h2, "direct": e.T @ h1}
        for name, gradient in found.items():
            sums[name] = sums.get(name, 0) + gradient / steps
            if name in w:
                w[name] -= RATE * gradient
    return sums


def test_energies_are_those_of_the_singular_values() -> None:
    g = DRAW.standard_normal((5, 3)) @ DRAW.standard_normal((3, 9))
    values = np.linalg.eigvalsh(g @ g.T)[::-1][:3]  # squares of singular values, another way
    expected = np.concatenate([[0], np.cumsum(values) / values.sum(), [1, 1]])
    np.testing.assert_allclose(energies(1e-200 * g, "float64"), expected, rtol=0, atol=1e-12)
    assert energies(g, "float64")[3] == 1, "rounding is no direction"
    assert not energies(np.zeros((2, 4)), "float64").any()
    noisy = np.eye(4)[:, :2] @ np.eye(2, 6) + 1e-7 * DRAW.standard_normal((4, 6))
    assert energies(noisy, "float32")[2] == 1
    assert energies(noisy, "float64")[2] < 1


@pytest.mark.parametrize("steps", [1, 4])
def test_the_mean_gradient_is_that_of_a_descent_by_hand(steps: int) -> None:
    start = pipeline.compile(spec({"rule": "bp"}, 0.3), "reference", "float64").open().state()
    means = by_hand(start, steps)
    held = {
        name: np.cumsum(s := np.linalg.svd(g, compute_uv=False) ** 2) / s.sum() for name, g in means.items()
    }
    share = 0.9
    wanted = {name: 1 + int((found < share).sum()) for name, found in held.items()}
    auto = {"share": share, "steps": steps, "cost": 9.0}
    section, lines = measured({"rule": "ldfa", "rank": auto}, std=0.3)
    assert {r["through"]: r["matrix"]["rank"] for r in section["routes"]} == {
        n: wanted[n] for n in ("fc2", "out")
    }
    for name, line in zip(("fc2", "out"), lines, strict=True):
        assert f"holds {100 * held[name][wanted[name] - 1]:.1f} % of the energy" in line
        assert line.startswith(f"`{name}`: rank {wanted[name]} of ")
    one = {"to": "fc1", "matrix": {"kind": "low_rank", "rank": auto}}
    section, (line,) = measured({"routes": [one]}, std=0.3)
    assert section["routes"][0]["matrix"]["rank"] == wanted["direct"]
    assert f"holds {100 * held['direct'][wanted['direct'] - 1]:.1f} % of the energy" in line


def test_kernels_and_tokens_are_measured_by_their_gradients() -> None:
    """Of one step the mean is the gradient, [channels made, channels read x window] past a kernel."""
    conv = {"kind": "conv2d", "kernel": 3, "padding": 1}
    layers = [
        {**conv, "name": "conv1", "out": 4},
        {"kind": "tanh"},
        {**conv, "name": "conv2", "out": 6},
        {"kind": "reshape", "shape": [6, 9]},
        {"kind": "linear", "name": "mix", "out": 5},
        {"kind": "flatten"},
        {"kind": "linear", "name": "out", "out": 3},
    ]
    feedback = {"rule": "ldfa", "rank": {"share": 0.7, "steps": 1, "cost": 9.0, "at_least": 1}}
    data = spec(feedback) | {
        "input": {"shape": [2, 3, 3]},
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
    }
    x, y = DRAW.standard_normal((16, 2, 3, 3)), np.arange(16) % 3
    dataset, document = Dataset("maps", Split(x, y), Split(x, y)), source.from_data(data)
    found, _ = ranked(
        document, pipeline.lowered(document), dataset, pipeline.find_backend("reference"), "float64"
    )
    session = pipeline.compile(data | {"feedback": {"rule": "bp"}}, "reference", "float64").open()
    rows = order(3, 0, 16)[:BATCH]
    gradients, ranks = session.gradients(x[rows], y[rows]), {}
    for name in ("conv2", "mix", "out"):
        g = gradients[f"{name}.weight"]
        s = np.linalg.svd(g.reshape(len(g), -1), compute_uv=False) ** 2
        ranks[name] = 1 + int((np.cumsum(s) / s.sum() < 0.7).sum())
    assert {r["through"]: r["matrix"]["rank"] for r in found.data["feedback"]["routes"]} == ranks
    assert max(ranks.values()) > 1


@pytest.mark.parametrize(
    "feedback", [{"rule": "ldfa", "rank": {"share": 0.999}}, {"rule": "direct_ldfa", "rank": "auto"}]
)
def test_a_task_of_two_directions_asks_for_two(feedback: Any) -> None:
    """From small weights the gradient is that of the teacher: its rank, whatever the widths."""
    section, _ = measured(feedback | {"rank": {"share": 0.999, "steps": 12}})
    assert [route["matrix"]["rank"] for route in section["routes"]] == [2, 2]


def pair(held: list[float], unit: int = 10, full: int = 40, **auto: Any) -> Pair:
    return Pair("a", AutoRank(**auto), np.array([0, *held, 1.0]), unit, full)


def test_ranks_are_the_smallest_that_hold_the_share() -> None:
    one, other = pair([0.5, 0.9], share=0.9), pair([0.95], share=0.9)
    assert [(found.rank, found.bound) for found in choose([one, other])] == [(2, ""), (1, "")]


def test_ranks_grow_where_least_is_held_until_the_cost_is_used_up() -> None:
    wide, thin = pair([0.4, 0.6], 10, 40, share=1, cost=0.5), pair([0.5, 0.7, 0.8], 1, 8, share=1, cost=0.5)
    # 24 to spend and 11 spent: 10 for `wide`, which holds .4; then what is left goes to `thin`
    found = choose([wide, thin])
    assert [each.rank for each in found] == [2, 4]
    assert [each.bound for each in found] == ["`cost: 0.5`", ""]
    limited = choose([pair([0.4, 0.6], share=1, at_most=2)])
    assert [(each.rank, each.bound) for each in limited] == [(2, "`at_most: 2`")]
    apart = choose([wide, pair([0.5, 0.7, 0.8], 1, 8, share=1)])
    assert [each.rank for each in apart] == [2, 4], "each has a budget of its own"


def test_ranks_below_their_least_grow_first() -> None:
    one, other = (
        pair([0.4, 0.6, 0.8], 1, 8, cost=0.5, share=0.9),
        pair([0.95, 0.97], 2, 8, cost=0.5, share=0.9),
    )
    found = choose([one, replace(other, least=2)])
    # of 8 to spend 3 are spent; 2 for the least of `other`, then what is left for what `one` holds
    assert [each.rank for each in found] == [4, 2]
    assert (
        found[1]
        .told(1)
        .endswith(
            "holds 97.0 % of the energy of its mean gradient over 1 step (90 % asked, and a rank of at least 2)"
        )
    )
    held_back = choose([replace(one, least=4), replace(other, least=3)])
    assert [(each.rank, each.bound) for each in held_back] == [(4, ""), (2, "`cost: 0.5`")]


def test_all_directions_of_classes_are_kept_unless_a_spec_says_otherwise() -> None:
    y = np.arange(48) % OUT
    digits = Dataset("classes", Split(X, y), Split(X[:8], y[:8]))
    for at_least, expected in ((None, [OUT - 1, OUT - 1]), (1, [1, 1]), (3, [3, 3])):
        feedback = {"rule": "ldfa", "rank": {"share": 0.01, "cost": 9.0, "at_least": at_least}}
        document = source.from_data(spec(feedback, 0.3) | {"loss": {"kind": "cross_entropy"}})
        found, _ = ranked(
            document, pipeline.lowered(document), digits, pipeline.find_backend("reference"), "float64"
        )
        assert [route["matrix"]["rank"] for route in found.data["feedback"]["routes"]] == expected


def test_no_error_is_no_reason_for_a_rank() -> None:
    section, lines = measured({"rule": "ldfa", "rank": "auto"}, std=0.0)
    assert [route["matrix"]["rank"] for route in section["routes"]] == [1, 1]
    assert "no error reaches it in 12 steps" in lines[0]


def test_sections_routes_and_globs_keep_the_rest_of_what_they_say() -> None:
    matrix = {"kind": "low_rank", "rank": {"share": 0.5}, "scale": 2.0, "read": {"rule": "fixed"}}
    feedback = ({"rule": "fa", "nodes": "fc2"}, {"routes": [{"through": "ou*", "matrix": matrix}]})
    section, _ = measured(feedback)
    assert section[0] == {"rule": "fa", "nodes": "fc2"}
    (route,) = section[1]["routes"]
    assert route["through"] == "out"
    assert route["matrix"]["rank"] == 1
    assert {key: route["matrix"][key] for key in ("scale", "read")} == {
        "scale": 2.0,
        "read": {"rule": "fixed"},
    }


def train(feedback: Any, out: Path | None = None, std: float = 0.1, **changes: Any) -> fac.Trained:
    return fac.train(
        spec(feedback, std), LINEAR, out=out, backend="reference", precision="float64", **changes
    )


def same(one: fac.Trained, other: fac.Trained) -> bool:
    ours, theirs = one.session.state(), other.session.state()
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


AUTO = {"rule": "ldfa", "rank": {"share": 0.8, "steps": 3}}


def test_a_run_keeps_the_ranks_and_measuring_changes_nothing_else(tmp_path: Path) -> None:
    whole = train(AUTO, tmp_path / "whole")
    written = source.read(str(tmp_path / "whole" / "spec.fac.yaml")).data["feedback"]
    assert all(type(route["matrix"]["rank"]) is int for route in written["routes"])
    assert same(train(written), whole)
    run = tmp_path / "run"
    train(AUTO, run, overrides=["train.epochs=1"])
    assert same(fac.train(resume=run, data=LINEAR, overrides=["train.epochs=2"]), whole)
    data = (LINEAR.test.x, LINEAR.test.y)
    assert (
        fac.evaluate(run, data, backend="reference", precision="float64").means == fac.evaluate(whole).means
    )
    with pytest.raises(FacError, match="is measured before the first step, and this run is past it"):
        fac.train(resume=run, data=LINEAR, overrides=["feedback={rule: ldfa, rank: auto}", "train.epochs=3"])


def test_with_given_weights_these_are_measured(tmp_path: Path) -> None:
    given = {
        name: array
        for name, array in train({"rule": "bp"}, std=0.5).session.state().items()
        if name != "step"
    }
    found = train(AUTO | {"rank": {"share": 0.8, "steps": 1}}, init=given)
    means = by_hand(given, 1)
    for route in found.program.routes:
        s = np.linalg.svd(means[route.node], compute_uv=False) ** 2
        assert route.matrix.rank == 1 + int((np.cumsum(s) / s.sum() < 0.8).sum())  # type: ignore[attr-defined]


def test_without_data_it_is_checked_and_shown_and_nothing_runs() -> None:
    assert fac.check(spec(AUTO), backend="reference") == ()
    with pytest.raises(FacError, match=r"`feedback\.rank` is `auto`, and only a training tells"):
        fac.compile(spec(AUTO), "reference")
    (finding,) = fac.check(spec({"rule": "ldfa", "rank": {"share": 1.5}}))
    assert finding.path == ("feedback", "rank", "share")
    (finding,) = fac.check(spec({"rule": "ldfa", "rank": "automatic"}))
    assert finding.path == ("feedback", "rank")
    (finding,) = fac.check(spec({"rule": "ldfa", "rank": {"cost": 0.1}}))
    assert (
        finding.message
        == "rank 1 costs 27 multiply-adds per sample at 2 layers, above the `cost` of 0.1 times 91"
    )
    (finding,) = fac.check({**spec(AUTO), "constraints": {"max_rank": 4}})
    assert finding.message == "the feedback of `fc2` may have rank 7, above the `max_rank` of 4"
    kept = {"rule": "ldfa", "rank": {"at_most": 4}}
    assert fac.check({**spec(kept), "constraints": {"max_rank": 4}}) == ()


def test_numbers_that_do_not_stay_finite_are_said() -> None:
    document = source.from_data(
        spec(AUTO | {"rank": {"steps": 12}}, 3.0) | {"update": {"rule": "sgd", "lr": 1e3}}
    )
    with (
        np.errstate(all="ignore"),
        pytest.raises(FacError, match=r"numbers are no longer finite: lower `update\.lr`"),
    ):
        ranked(document, pipeline.lowered(document), LINEAR, pipeline.find_backend("reference"), "float64")


def test_a_comparison_has_one_network_in_a_row(tmp_path: Path) -> None:
    document = source.from_data(spec(AUTO, 0.1))
    design = Design(rules=["bp", "ldfa"], seeds=2, audit=False)
    found = compared([document], design, EXACT, out=tmp_path / "out", dataset=LINEAR)
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    ranks = [route["matrix"]["rank"] for route in plan["rows"][1]["trains"]["feedback"]["routes"]]
    assert list(found.rows[1].ranks) == ranks
    assert [row.variant.label for row in found.rows] == ["bp", "ldfa"]
    assert any(note.startswith(f"ranks of `ldfa` `fc2`: rank {ranks[0]} of 7 holds") for note in found.notes)
    assert all(run.report for row in found.rows for run in row.runs)


def test_a_lock_says_that_ranks_are_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("linear.fac.yaml").write_text(json.dumps(spec(AUTO)))
    done = CliRunner().invoke(LOCK, ["linear.fac.yaml"], catch_exceptions=False)
    assert "`linear` leaves ranks to its training: locked are the highest that there may be" in done.output
    assert done.exit_code == 0


def test_show_says_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("linear.fac.yaml").write_text(
        json.dumps(spec({"rule": "ldfa", "rank": {"at_most": 3, "cost": 0.5}}))
    )
    table = CliRunner().invoke(SHOW, ["linear.fac.yaml"], catch_exceptions=False).output
    assert "Q P, learned, rank auto" in table
    assert "all of them together cost at most 0.5 times full matrices" in table
    chains = CliRunner().invoke(SHOW, ["--updates", "linear.fac.yaml"], catch_exceptions=False).output
    assert "rank auto, at most 3, oja / kolen_pollack" in chains
