"""What Python is given is what commands make, and what it hands over is looked at as files are."""

from __future__ import annotations

import json
import logging
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import STEP
from fac.diagnostics import FacError
from fac.experiments.comparison import Comparison
from fac.training.logs import EpochRecord, Listener
from fac.training.loop import StoppedError
from fac.training.nonfinite import DivergedError
from tests.cli.conftest import DIGITS

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal((96, 4))
Y = (X[:, 0] + 0.1 * DRAW.standard_normal(96) > 0).astype(int)
DATA = {"train": (X[:64], Y[:64]), "test": (X[64:], Y[64:])}
SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "mine",
    "input": {"shape": [4]},
    "layers": [{"kind": "linear", "out": 8}, {"kind": "relu"}, {"kind": "linear", "name": "out", "out": 2}],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "fa"},
    "update": {"rule": "sgd", "lr": 0.1, "momentum": 0.9},
    "train": {"epochs": 2, "batch": 16},
}


def equal(one: fac.Trained, state: dict[str, Any]) -> bool:
    own = one.session.state()
    return own.keys() == state.keys() and all(np.array_equal(own[name], state[name]) for name in own)


def test_a_training_is_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fac.cli import main

    spec = tmp_path / "digits.fac.yaml"
    spec.write_text(DIGITS)
    monkeypatch.chdir(tmp_path)
    quick = ("--backend", "reference", "--set", "train.epochs=1")
    monkeypatch.setattr("sys.argv", ["fac", "train", str(spec), "--out", "run", *quick])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    trained = fac.train(spec, backend="reference", overrides=["train.epochs=1"])
    kept = fac.train(spec, backend="reference", overrides=["train.epochs=1"], out="other")
    made = fac.evaluate("run")
    assert trained.test_accuracy == made.means["accuracy"] == fac.evaluate(trained).means["accuracy"]
    from fac.training import checkpoint

    state = dict(checkpoint.load(Path("run")).state)
    assert equal(trained, state)
    assert equal(kept, state)
    assert (Path("other") / "spec.fac.yaml").read_text() == (Path("run") / "spec.fac.yaml").read_text()
    _, line = (json.loads(text) for text in (Path("run") / "metrics.jsonl").read_text().splitlines())
    assert {name: column[0] for name, column in trained.history.items() if "cosine" in name} == {
        name: value for name, value in line.items() if "cosine" in name
    }


def test_arrays_train_as_the_file_that_holds_them(tmp_path: Path) -> None:
    for part, (x, y) in DATA.items():
        np.savez(tmp_path / f"{part}.npz", x=x, y=y)
    files = {"source": "arrays", **{part: str(tmp_path / f"{part}.npz") for part in DATA}}
    named = fac.train({**SPEC, "data": files}, backend="reference")
    assert equal(fac.train(SPEC, DATA, backend="reference"), named.session.state())
    by_name = {part: {"x": x, "y": y} for part, (x, y) in DATA.items()}
    assert equal(fac.train(SPEC, by_name, backend="reference"), named.session.state())


def test_a_run_with_arrays_goes_on_bit_by_bit(tmp_path: Path) -> None:
    whole = fac.train(SPEC, DATA, backend="reference", overrides=["train.epochs=3"])
    spec = {**SPEC, "data": {"source": "digits"}}
    fac.train(spec, DATA, backend="reference", out=tmp_path / "run")
    text = (tmp_path / "run" / "spec.fac.yaml").read_text()
    assert "digits" not in text, "what is kept says nothing of data that were not trained on"
    assert fac.load(tmp_path / "run" / "spec.fac.yaml") == fac.load(SPEC)
    with pytest.raises(FacError, match="says nothing about data"):
        fac.train(resume=tmp_path / "run", overrides=["train.epochs=3"])
    later = fac.train(resume=tmp_path / "run", data=DATA, overrides=["train.epochs=3"])
    assert equal(later, whole.session.state())
    assert list(later.history["epoch"]) == [1, 2, 3]
    assert later.out == tmp_path / "run"


def test_a_model_trains_as_its_data_do(tmp_path: Path) -> None:
    trained = fac.train(fac.load(SPEC), DATA, backend="reference", out=tmp_path / "run")
    assert equal(trained, fac.train(SPEC, DATA, backend="reference").session.state())
    assert trained.spec == fac.load(SPEC)
    assert repr(trained).startswith("<`mine` after 8 steps on reference in ")


def test_a_folder_is_measured_on_arrays(tmp_path: Path) -> None:
    trained = fac.train(SPEC, DATA, backend="reference", out=tmp_path / "run")
    with pytest.raises(FacError, match="hand samples over as `data`"):
        fac.evaluate(tmp_path / "run")
    own, found = fac.evaluate(trained), fac.evaluate(tmp_path / "run", DATA["test"])
    assert own.means == pytest.approx(found.means, rel=1e-12)
    assert own.samples == 32
    assert own.classes is not None
    assert own.classes.labels.tolist() == np.bincount(Y[64:]).tolist()
    assert fac.evaluate(trained, split="train").samples == 64
    np.savez(tmp_path / "test.npz", x=X[64:], y=Y[64:])
    assert fac.evaluate(tmp_path / "run", tmp_path / "test.npz").means == pytest.approx(own.means, rel=1e-12)
    with pytest.raises(FacError, match="stays where it runs"):
        fac.evaluate(trained, backend="torch")


def test_samples_for_validation_are_evaluated_beside() -> None:
    trained = fac.train(SPEC, {**DATA, "validation": (X[:8], Y[:8])}, backend="reference")
    found = trained.history["validation_loss"][-1]
    assert found == pytest.approx(trained.session.evaluate(X[:8], Y[:8])["loss"], rel=1e-12)
    assert fac.evaluate(trained, split="validation").means["loss"] == found
    with pytest.raises(FacError, match="no split `validation`: there are `train` and `test`"):
        fac.evaluate(fac.train(SPEC, DATA, backend="reference"), split="validation")


def test_predictions_are_the_output(tmp_path: Path) -> None:
    trained = fac.train(SPEC, DATA, backend="reference")
    found = fac.predict(trained, X[:3])
    assert np.array_equal(found["output"], trained.session.forward(X[:3]))
    assert np.array_equal(found["label"], found["output"].argmax(1))
    assert np.array_equal(fac.predict(trained, {"x": X[:3], "y": Y[:3]})["output"], found["output"])
    np.savez(tmp_path / "x.npz", x=X[:3])
    assert np.array_equal(fac.predict(trained, tmp_path / "x.npz")["output"], found["output"])


def test_a_comparison_has_its_numbers_by_row() -> None:
    found = fac.compare(SPEC, ["bp", "fa"], DATA, seeds=2, backend="reference", audit=False)
    assert isinstance(found, Comparison)
    values = found.values()
    assert list(values) == ["bp", "fa"]
    for seed in found.seeds:
        alone = fac.train({**SPEC, "train": {**SPEC["train"], "seed": seed}}, DATA, backend="reference")
        assert values["fa"][seed] == alone.test_accuracy
        assert found.history("test_loss")["fa"][seed].tolist() == alone.history["test_loss"].tolist()
    assert found.table().splitlines()[0].split()[0] == "rule"
    assert json.loads(json.dumps(found.flat()))["seeds"] == [0, 1]
    with pytest.raises(FacError, match="no epoch has `loss`; there are `epoch`"):
        found.history("loss")


def test_a_run_that_diverges_is_nan_in_a_comparison() -> None:
    hot = {**SPEC, "update": {"rule": "sgd", "lr": 1e200}, "name": "hot"}
    found = fac.compare([SPEC, hot], None, DATA, seeds=1, backend="reference")
    assert np.isnan(found.values()["hot fa"]).all()
    with pytest.raises(DivergedError, match="not finite"):
        fac.train(hot, DATA, backend="reference")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": (X, Y)}, "these are `train`"),
        ([X, Y], "these are list"),
        ({"train": X, "test": X}, "`train` of the data are no pair"),
        ({"train": (X, Y[:3]), "test": (X, Y)}, "96 samples in x but 3 in y"),
        ({"train": (X, ["a"] * 96), "test": (X, Y)}, "`y` in `train` of the data has shape"),
        ({"train": ([[1], [1, 2]], [0, 1]), "test": (X, Y)}, "`x` in `train` of the data cannot be read"),
        ({"train": {}, "test": (X, Y)}, "are empty"),
        ({"train": {"z": X, "y": Y}, "test": (X, Y)}, "`x`"),
        ({"train": (X[:, :3], Y), "test": (X, Y)}, "shape"),
        ({"train": (X, Y + 5), "test": (X, Y)}, "label"),
    ],
)
def test_what_is_handed_over_is_looked_at(data: Any, message: str) -> None:
    with pytest.raises(FacError, match=message) as found:
        fac.train(SPEC, data, backend="reference")
    assert "\n" not in str(found.value)


def test_a_spec_and_a_run_are_not_named_together(tmp_path: Path) -> None:
    with pytest.raises(FacError, match="name a spec, or a run"):
        fac.train(SPEC, DATA, resume=tmp_path)
    with pytest.raises(FacError, match="name a spec, or a run"):
        fac.train()
    with pytest.raises(FacError, match="leave out `out`"):
        fac.train(resume=tmp_path, out=tmp_path)
    with pytest.raises(FacError, match="no spec to compare"):
        fac.compare([])
    with pytest.raises(FacError, match="no run has `acc`; there are `test_accuracy`"):
        fac.compare(SPEC, ["bp"], DATA, seeds=1, backend="reference").values("acc")
    with pytest.raises(FacError, match=r"`seeds` is `\[0, 1\]`"):
        fac.compare(SPEC, data=DATA, seeds=[0, 1])  # type: ignore[arg-type]
    with pytest.raises(FacError, match="`seeds` is `0`"):
        fac.compare(SPEC, data=DATA, seeds=0)
    with pytest.raises(FacError, match="holds no run"):
        fac.train(resume=tmp_path)


def test_a_training_starts_from_parameters_or_goes_on_from_a_run(tmp_path: Path) -> None:
    first = fac.train(SPEC, DATA, backend="reference", out=tmp_path / "run")
    again = fac.train(SPEC, DATA, backend="reference", init=tmp_path / "run", overrides=["update.lr=1e-30"])
    parameters = ("linear_1.weight", "out.weight")
    assert all(
        np.array_equal(first.session.state()[name], again.session.state()[name]) for name in parameters
    )
    whole = fac.train(SPEC, DATA, backend="reference", overrides=["train.epochs=4"])
    forked = fac.train(fork=tmp_path / "run", data=DATA, out=tmp_path / "b", overrides=["train.epochs=4"])
    assert equal(forked, whole.session.state())
    assert int(fac.train(resume=tmp_path / "run", data=DATA).session.state()[STEP]) == 8
    state = first.session.state()
    handed = fac.train(SPEC, DATA, backend="reference", init=state, overrides=["update.lr=1e-30"])
    assert equal(handed, again.session.state())
    with pytest.raises(FacError, match=r"`out\.weight` in `init` holds int64"):
        fac.train(SPEC, DATA, init={**state, "out.weight": np.ones((2, 8), int)})
    other = {**SPEC, "layers": [{"kind": "linear", "name": "out", "out": 2}]}
    with pytest.raises(FacError, match="--init-partial"):
        fac.train(other, DATA, init=tmp_path / "run")
    with pytest.raises(FacError, match="`init` and `fork` each say where to start"):
        fac.train(SPEC, DATA, init=tmp_path / "run", fork=tmp_path / "run")
    with pytest.raises(FacError, match="or with that of a file"):
        fac.train(SPEC, DATA, fork=tmp_path / "run")


def test_an_error_of_a_spec_is_a_finding() -> None:
    wrong = {**SPEC, "layers": [{"kind": "linear", "out": "many"}]}
    with pytest.raises(fac.SpecError, match=r"layers\[0\]\.out") as found:
        fac.train(wrong, DATA)
    assert [finding.path for finding in found.value.diagnostics] == [("layers", 0, "out")]


def test_what_a_person_should_know_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    flat = {part: (x.reshape(len(x), 2, 2), y) for part, (x, y) in DATA.items()}
    fac.train(SPEC, flat, backend="reference")
    assert "x of shape [2, 2] is read as [4]" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "fac"):
        fac.train(SPEC, DATA, backend="reference")
    assert [record.message[:8] for record in caplog.records] == ["epoch 1:", "epoch 2:"]


def test_a_listener_hears_of_it_and_a_stop_is_kept(tmp_path: Path) -> None:
    heard: list[EpochRecord] = []

    class Mine(Listener):
        def ended(self, record: EpochRecord) -> None:
            heard.append(record)

    whole = fac.train(SPEC, DATA, backend="reference", listener=Mine())
    assert tuple(heard) == whole.report.history
    asked = iter([False, False, True])
    with pytest.raises(StoppedError):
        fac.train(SPEC, DATA, backend="reference", out=tmp_path / "run", stop=lambda: next(asked))
    later = fac.train(resume=tmp_path / "run", data=DATA)
    assert int(later.session.state()[STEP]) == 8
    assert equal(later, whole.session.state())


def test_in_a_notebook_names_are_text() -> None:
    name = "<script>alert(1)</script>"
    trained = fac.train({**SPEC, "name": name}, DATA, backend="reference")
    found = fac.compare([{**SPEC, "name": name}, SPEC], None, DATA, seeds=1, backend="reference")
    for html in (trained._repr_html_(), found._repr_html_()):
        assert "<script" not in html
        assert escape(name) in html
    assert "<td>loss</td>" in fac.evaluate(trained)._repr_html_()


@pytest.mark.parametrize("how", ["each", "channels", "all"])
def test_samples_may_have_other_axes_of_one_than_those_of_the_training(tmp_path: Path, how: str) -> None:
    """And arrays may be called as the network calls them, where those of the training were not."""
    x = (DRAW.random((96, 4, 5)) * 255 * (1 + Y[:, None, None])).astype(np.float32)
    for part, rows in {"train": slice(64), "test": slice(64, 96)}.items():
        np.savez(tmp_path / f"{part}.npz", x=x[rows], y=Y[rows])
    spec = {
        **SPEC,
        "input": None,
        "inputs": {"image": {"shape": [1, 4, 5]}},
        "layers": [{"kind": "flatten"}, {"kind": "linear", "name": "out", "out": 2}],
        "data": {"source": "arrays", "train": "train.npz", "test": "test.npz", "standardise": how},
    }
    del spec["input"], spec["feedback"]
    for part in ("train", "test"):
        spec["data"][part] = str(tmp_path / f"{part}.npz")
    fac.train(spec, backend="reference", out=tmp_path / "run")
    wanted = fac.evaluate(tmp_path / "run").means
    for shape in ((4, 5), (1, 4, 5), (20,), (4, 1, 5)):
        if how == "channels" and shape[0] != 4:
            continue  # the first axis was that of 4 channels
        images = x[64:].reshape(32, *shape)
        for name in ("x", "image"):
            assert fac.evaluate(tmp_path / "run", {name: images, "y": Y[64:]}).means == wanted, (shape, name)


def test_samples_in_another_unit_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x = DRAW.integers(0, 256, (96, 2, 2)).astype(np.uint8)  # images: of other numbers nobody guesses bytes
    for part, rows in {"train": slice(64), "test": slice(64, 96)}.items():
        np.savez(tmp_path / f"{part}.npz", x=x[rows], y=Y[rows])
    paths = {part: str(tmp_path / f"{part}.npz") for part in ("train", "test")}
    spec = {**SPEC, "data": {"source": "arrays", **paths, "standardise": "each"}}
    fac.train(spec, backend="reference", out=tmp_path / "run")
    caplog.clear()
    fac.evaluate(tmp_path / "run", (x, Y))
    assert "unlike" not in caplog.text
    for told in (
        lambda: fac.evaluate(tmp_path / "run", (x / 255, Y)),
        lambda: fac.predict(tmp_path / "run", x / 255),
    ):
        caplog.clear()
        told()
        assert "it seems to be divided by 255 already: give the bytes" in caplog.text


def test_a_plugin_that_has_changed_is_told_wherever_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fac.train(SPEC, DATA, backend="reference", out=tmp_path / "run")
    monkeypatch.setattr("fac.experiments.api.training.changes_of", lambda found: ("`mine.py` has changed",))
    fac.train(resume=tmp_path / "run", data=DATA, overrides=["train.epochs=3"])
    fac.train(fork=tmp_path / "run", data=DATA, overrides=["train.epochs=4"])
    assert caplog.text.count("`mine.py` has changed") == 2
