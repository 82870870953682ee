from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import fac
from fac.backend import Session
from fac.diagnostics import FacError
from fac.spec.model import ModelSpec
from fac.training import checkpoint, folder
from fac.training.folder import RunFolder
from fac.training.holding import LOCK, Held
from fac.training.logs import EpochRecord

STATE = {"fc1.weight": np.arange(6.0).reshape(2, 3), "step": np.array(7, np.int64)}
ABOUT = {"fac_checkpoint": "1", "spec_hash": "abc"}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    turned = STATE["fc1.weight"].T
    checkpoint.save(path, {**STATE, "turned": turned}, ABOUT)
    found = checkpoint.load(path)
    assert found.step == 7
    assert found.about["spec_hash"] == "abc"
    assert found.state["fc1.weight"].dtype == np.float64
    np.testing.assert_array_equal(found.state["turned"], turned)


def test_a_state_names_its_spec(
    spec: ModelSpec, open_session: Callable[..., Session], tmp_path: Path
) -> None:
    session = open_session(spec)
    path = tmp_path / "state.safetensors"
    about = session.compiled.about
    checkpoint.save(path, session.state(), about)
    found = checkpoint.load(path)
    assert (found.about["name"], found.about["seed"]) == ("small", "3")
    assert found.about["spec_hash"] == session.compiled.spec_hash
    checkpoint.require_spec(found, session.compiled, spec)


def test_another_spec_is_refused_with_the_difference(
    make_spec: Callable[..., ModelSpec], open_session: Callable[..., Session], tmp_path: Path
) -> None:
    spec, other = make_spec(), make_spec(train={"epochs": 9}, update={"lr": 0.1})
    shorter, longer = make_spec(train={"epochs": 2}), make_spec(train={"epochs": 4})
    session, path = open_session(spec), tmp_path / "state.safetensors"
    checkpoint.save(path, session.state(), session.compiled.about)
    expected = "`update.lr` is 0.05 there and 0.1 here; `train.epochs` is 3 there and 9 here"
    with pytest.raises(FacError, match=expected):
        checkpoint.require_spec(checkpoint.load(path), open_session(other).compiled, other)
    with pytest.raises(
        FacError, match=r"`train.epochs` is 3 there and 2 here: .* larger `train.epochs` is allowed"
    ):
        checkpoint.require_spec(checkpoint.load(path), open_session(shorter).compiled, shorter)
    assert checkpoint.require_spec(checkpoint.load(path), session.compiled, spec) is None
    assert checkpoint.require_spec(checkpoint.load(path), open_session(longer).compiled, longer) == 3


def told(change: Callable[[dict[str, Any]], object], session: Session, path: Path) -> checkpoint.Checkpoint:
    """A checkpoint of the same hash, made when the spec had other fields or defaults."""
    about = session.compiled.about
    spec = json.loads(about["spec"])
    change(spec)
    checkpoint.save(path, session.state(), about | {"spec": json.dumps(spec)})
    return checkpoint.load(path)


def test_a_default_that_has_changed_since_is_refused(
    make_spec: Callable[..., ModelSpec], open_session: Callable[..., Session], tmp_path: Path
) -> None:
    spec = make_spec()
    session = open_session(spec)
    found = told(lambda spec: spec["layers"][1].update(eps=1e-3), session, tmp_path / "state.safetensors")
    with pytest.raises(FacError, match=r"`layers\[1\].eps` is 0.001 there and 1e-05 here"):
        checkpoint.require_spec(found, session.compiled, spec)


def test_a_field_that_has_come_since_makes_no_checkpoint_stale(
    make_spec: Callable[..., ModelSpec], open_session: Callable[..., Session], tmp_path: Path
) -> None:
    """Nor one of a training that goes on for longer; but its value is not what was trained if it is no default."""
    spec, longer = make_spec(), make_spec(train={"epochs": 4})
    path = tmp_path / "state.safetensors"
    found = told(lambda spec: [spec["layers"][0].pop("bias"), spec.pop("probes")], open_session(spec), path)
    assert checkpoint.require_spec(found, open_session(spec).compiled, spec) is None
    assert checkpoint.require_spec(found, open_session(longer).compiled, longer) == 3
    layers = (spec.layers[0].model_copy(update={"bias": False}), *spec.layers[1:])
    other = longer.model_copy(update={"layers": layers})
    with pytest.raises(FacError, match=r"`layers\[0\].bias` is no setting there and false here"):
        checkpoint.require_spec(found, open_session(other).compiled, other)


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    with pytest.raises(FacError, match=r"there is no checkpoint"):
        checkpoint.load(path)
    checkpoint.save(path, STATE, ABOUT)
    whole = path.read_bytes()
    for size in (0, 5, 40, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(FacError, match=r"is damaged or is no checkpoint"):
            checkpoint.load(path)
    path.write_text("hello, this is some text and not a state")
    with pytest.raises(FacError, match=r"is damaged or is no checkpoint"):
        checkpoint.load(path)
    spec = tmp_path / "net.fac.yaml"
    spec.write_text("fac: 1\nname: a spec\n")
    with pytest.raises(FacError, match=r"`.*net.fac.yaml` is a spec, .*: name the folder of a run"):
        checkpoint.load(spec)
    save_file({"a": np.zeros(1)}, path)
    with pytest.raises(FacError, match=r"is not a checkpoint that `fac` wrote"):
        checkpoint.load(path)


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, STATE, ABOUT)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FacError, match=r"cannot write `.*state.safetensors`: no space left on device"):
        checkpoint.save(path, {**STATE, "step": np.array(8)}, ABOUT)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["state.safetensors"]


def claimed(path: Path | None, name: str = "net", text: str = "") -> Path:
    """A folder that was claimed by a run which ended without a trace, but is there."""
    with folder.claim(path, name, lambda _: text) as found:
        (found.path / "x").touch()
    return found.path


def test_new_runs_never_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert claimed(None, "my net/2") == Path("runs/my-net-2-1")
    assert claimed(None, "my net/2") == Path("runs/my-net-2-2")
    assert claimed(None, "-.net") == Path("runs/net-1")  # no option, and no hidden file, to who is in `runs`
    assert claimed(tmp_path / "given") == tmp_path / "given"
    assert claimed(tmp_path / "given") == tmp_path / "given"
    held = (
        ("state.safetensors", "already holds `state.safetensors`: continue that run with `--resume"),
        ("metrics.jsonl", "holds the `metrics.jsonl` of another run: give another folder to `--out`"),
        ("spec.fac.yaml", "holds another `spec.fac.yaml`, which this run would replace: give another folder"),
    )
    for file, message in held:
        path = tmp_path / f"with {file}"
        path.mkdir()
        (path / file).write_text("something")
        with pytest.raises(FacError, match=message):
            claimed(path, text="something else")
        assert os.listdir(path) == [file]


def test_a_folder_with_the_same_spec_alone_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "spec.fac.yaml").write_text("fac: 1")
    assert claimed(tmp_path, text="fac: 1") == tmp_path


def test_one_training_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run"
    message = "another training is at work in `.*run`: wait until it ends, or stop it"
    with folder.claim(path, "net"):
        assert os.listdir(path) == [LOCK]
        with pytest.raises(FacError, match=message), folder.claim(path, "net"):
            pass
        checkpoint.save(path / folder.STATE, STATE, ABOUT)
        with pytest.raises(FacError, match=message), folder.resumed(path):
            pass
    assert os.listdir(path) == [folder.STATE]
    with folder.resumed(path) as (_, found):
        assert found.step == 7
        with pytest.raises(FacError, match=message), folder.resumed(path):
            pass
    assert os.listdir(path) == [folder.STATE]


def test_a_lock_file_of_a_process_that_is_gone_does_not_block(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / folder.STATE, STATE, ABOUT)
    (tmp_path / LOCK).touch()
    with folder.resumed(tmp_path) as (_, found):
        assert found.step == 7
    assert os.listdir(tmp_path) == [folder.STATE]


def test_of_many_at_once_one_gets_the_folder(tmp_path: Path) -> None:
    """Each holder takes the folder away again, which the others must survive."""
    path, inside, most, got = tmp_path / "run", 0, 0, 0
    lock = threading.Lock()

    def compete() -> None:
        nonlocal inside, most, got
        for _ in range(50):
            try:
                with folder.claim(path, "net"):
                    with lock:
                        inside, got = inside + 1, got + 1
                        most = max(most, inside)
                    time.sleep(0.0002)
                    with lock:
                        inside -= 1
            except FacError as error:
                assert "another training is at work" in str(error)  # noqa: PT017 - in a thread

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(compete) for _ in range(4)]:
            done.result()
    assert (most, got > 0) == (1, True)
    assert os.listdir(tmp_path) == []


def test_unwritable_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for below in ("", "run", "deep/run"):
        with pytest.raises(FacError, match=r"^`.*/file` is a file, where a folder is needed: name another$"):
            claimed(file / below)
        with pytest.raises(
            FacError, match=r"^`.*/link` is a link that leads nowhere: mend it, or remove it$"
        ):
            claimed(link / below)
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_a_folder_that_was_made_is_removed_if_it_is_empty_and_no_other_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty folder of the user's, who has given it its owner and mode, stays when the training comes to nothing."""
    mine, made, used = tmp_path / "mine", tmp_path / "made" / "a" / "b", tmp_path / "used"
    mine.mkdir()
    for path in (mine, made, used):
        with folder.claim(path, "net") as found:
            if path is used:
                (found.path / "x").touch()
    assert sorted(os.listdir(tmp_path)) == ["mine", "used"]
    assert os.listdir(mine) == []
    monkeypatch.chdir(mine)
    for given, top in ((Path("a/b/c"), "a"), (None, "runs")):
        with folder.claim(given, "net"):
            assert os.listdir(mine) == [top]
        assert os.listdir(mine) == []


def test_a_full_disk_at_the_first_checkpoint_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "run"
    with pytest.raises(FacError, match=r"no space left"), folder.claim(path, "net", lambda _: "fac: 1"):
        RunFolder(Held(path), {}, "fac: 1").save(STATE, ABOUT)
    assert not path.exists()


def test_a_spec_that_is_gone_comes_back_from_the_checkpoint(
    spec: ModelSpec, open_session: Callable[..., Session], tmp_path: Path
) -> None:
    session = open_session(spec)
    checkpoint.save(tmp_path / folder.STATE, session.state(), session.compiled.about)
    with folder.resumed(tmp_path):
        again = fac.load(tmp_path / folder.SPEC)
    assert fac.compile(again, "reference").compiled.spec_hash == session.compiled.spec_hash


def test_nothing_to_resume(tmp_path: Path) -> None:
    message = "holds no run to resume: there is no `state.safetensors`"
    with pytest.raises(FacError, match=message), folder.resumed(tmp_path):
        pass
    with pytest.raises(FacError, match=message), folder.resumed(tmp_path / "nowhere"):
        pass
    assert os.listdir(tmp_path) == []
    (tmp_path / folder.STATE).touch()
    with (
        pytest.raises(FacError, match=r"state.safetensors` is a file: name the folder of the run$"),
        folder.resumed(tmp_path / folder.STATE),
    ):
        pass


def record(**changes: Any) -> EpochRecord:
    values: dict[str, Any] = {"epoch": 1, "step": 5, "lr": 0.1, "train_loss": 1.0, "test_loss": 2.0}
    values |= {"test_accuracy": 0.5, "seconds": 1.0, "step_ms": 2.0, "probes": {"fc1.error.cosine": 0.5}}
    return EpochRecord(**(values | changes))


def test_log_lines_are_json_whatever_the_numbers(tmp_path: Path) -> None:
    out = RunFolder(Held(tmp_path), {})
    out.append(record(test_loss=float("inf")))
    assert '"test_loss": null' in (tmp_path / "metrics.jsonl").read_text()
    (found,) = out.rewind(1, 5)
    assert np.isnan(found.test_loss)
    assert found.probes == {"fc1.error.cosine": 0.5}
