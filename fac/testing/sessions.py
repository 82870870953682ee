"""What a session promises about its state, whatever it computes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors.numpy import load

from fac.backend import STEP, Array, Exporting, to_bytes
from fac.spec.init import SCALED
from fac.testing.case import Case, Subject, compare, refuses, require
from fac.testing.nets import DROPOUT, NET, RELU, Data, batch, batches, linear, mlp, shaken, spec
from fac.testing.rules import RULES, UPDATES
from fac.testing.tolerance import TOLERANCE

SPEC = spec(NET, RULES["ldfa_oja_kp"], UPDATES["momentum"])
NORMATIVE: Data = {
    "matrix": {
        "kind": "low_rank",
        "rank": 2,
        "init": "svd",
        "read": {"rule": "normative"},
        "write": {"rule": "normative"},
    }
}
NORM: Data = {"kind": "batch_norm", "name": "norm"}
"""A layer whose state the forward pass of training moves."""
X, Y = batch()
COUNTED: dict[str, Data] = {
    "smoothed": {"label_smoothing": 0.1},
    "weighted": {"weight": (0.5, 2.0, 1.0)},
    "-100 ignored": {"ignore_index": -100},
    "255 ignored": {"ignore_index": 255},
}
"""Cross-entropies that are made of comparisons."""
LAWS: dict[str, Any] = {
    **{name: name for name in SCALED},
    "normal": {"kind": "normal", "std": 0.3},
    "uniform": {"kind": "uniform", "bound": 0.3},
    "zeros": "zeros",
}
"""Of initial values, but for orthogonal ones."""


def cases() -> Iterator[Case]:
    """One for each promise."""
    yield Case("session/a state comes out as it went in", round_trip)
    yield Case("session/a state is a copy", copies)
    yield Case("session/a state of another spec is refused whole", wrong_states)
    for update in ("sgd", "momentum", "adam"):
        yield Case(f"session/parameters alone start a training x {update}", partial(parameters_alone, update))
    yield Case("session/a batch of another shape is refused", wrong_batches)
    for name, loss in COUNTED.items():
        yield Case(
            f"session/a placed label that is no class is refused x {name}", partial(wrong_labels, loss)
        )
    yield Case("session/measuring changes nothing", measuring)
    yield Case("session/measuring follows the state", following)
    yield Case("session/sessions of one artifact are apart", apart)
    yield Case("session/a placed batch may be used again", placed_again)
    yield Case("session/what is not finite shows", not_finite)
    yield Case("session/an exported file is the network", exported)
    yield from resumes()
    yield Case("session/the layout of what comes in changes nothing", laid_out)
    yield Case("session/a device that is not there is refused", unknown_device)
    yield Case("session/the written folder", written)


def equal(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """The same names and bits.

    Raises:
        AssertionError: they differ.
    """
    compare(found, expected, tolerance=0)


def round_trip(subject: Subject) -> None:
    """Arrays in the session's precision, and the number of steps; without one it is 0."""
    session = subject.open(SPEC)
    state = {name: np.asarray(a, subject.precision) for name, a in shaken(session.state()).items()}
    state[STEP] = np.array(3, np.int64)
    session.load_state(state)
    equal(session.state(), state)
    require(all(a.dtype == state[n].dtype for n, a in session.state().items()), "a type of element changed")
    equal(subject.open(SPEC, state).state(), state)
    session.load_state({name: array for name, array in state.items() if name != STEP})
    require(session.steps == 0, "a state without a number of steps is one of no steps")


def copies(subject: Subject) -> None:
    """Steps do not reach into a state that was given out, nor its owner into the session."""
    session = subject.open(SPEC)
    taken = session.state()
    kept = {name: array.copy() for name, array in taken.items()}
    session.step(X, Y)
    equal(taken, kept)
    session.load_state(taken)
    for array in taken.values():
        array[...] = 0
    equal(session.state(), kept)


def wrong_states(subject: Subject) -> None:
    """Missing, unknown or misshapen arrays, and the session is then as it was."""
    session = subject.open(SPEC)
    session.step(X, Y)
    before = session.state()
    other = {name: array + 1 for name, array in before.items()}
    for what, state in {
        "a state without `fc1.weight`": {n: a for n, a in other.items() if n != "fc1.weight"},
        "a state with `fc9.weight`": other | {"fc9.weight": np.zeros(1)},
        "a state with a longer `fc1.bias`": other | {"fc1.bias": np.zeros(9)},
    }.items():
        refuses(partial(session.load_state, state), what)
        equal(session.state(), before)
        refuses(partial(subject.open, SPEC, state), f"{what}, when a session is opened,")


def parameters_alone(update: str, subject: Subject) -> None:
    """Only where that is asked for, and feedback that starts from the weights then starts from those that came in."""
    feedback = {"routes": (NORMATIVE | {"through": "fc2"}, {"through": "out", "matrix": {"kind": "random"}})}
    artifact = subject.compile(spec(NET, feedback, UPDATES[update]))
    new, other = (artifact.open(device=subject.device) for _ in range(2))
    for x, y in batches(7, 7, 7):
        other.step(x, y, 1.0)
    trained, begun = other.state(), new.state()
    needed = [slot.name for slot in artifact.compiled.state if slot.parameter]
    given = {name: trained[name] for name in needed}

    refuses(partial(new.load_state, given), "a state of parameters alone")
    refuses(
        partial(new.load_state, given | {"fc2.feedback.P": trained["fc2.feedback.P"]}, derive=True),
        "half a pair",
    )
    refuses(
        partial(new.load_state, {n: given[n] for n in needed[1:]}, derive=True),
        "a state without `fc1.weight`",
    )
    equal(new.state(), begun)
    require(new.derived == (), "a state that was whole is said to have been derived")

    opened = artifact.open(given, subject.device, derive=True)
    new.load_state(given, derive=True)
    state = new.state()
    equal(opened.state(), state)
    equal({name: state[name] for name in needed}, given)
    require(
        opened.derived == new.derived == tuple(n for n in state if n not in (*needed, STEP)),
        "`derived` is wrong",
    )
    require(new.steps == 0, "a training that starts has made no step")
    u, s, vt = np.linalg.svd(given["fc2.weight"].astype(np.float64).T, full_matrices=False)
    nearest = {"Q P": (u[:, :2] * s[:2]) @ vt[:2]}
    found = {"Q P": state["fc2.feedback.Q"].astype(np.float64) @ state["fc2.feedback.P"].astype(np.float64)}
    compare(found, nearest, TOLERANCE["step"][subject.precision])
    rest = [name for name in new.derived if not name.startswith("fc2.feedback.") or name.count(".") > 2]
    equal({name: state[name] for name in rest}, {name: begun[name] for name in rest})
    new.load_state(trained, derive=True)
    require(new.derived == () and new.steps == 3, "of a whole state nothing is derived")


def wrong_batches(subject: Subject) -> None:
    """Before anything moves, also where the data was placed."""
    session = subject.open(SPEC)
    before = session.state()
    for what, (x, y) in {
        "x of another width": (X[:, :4], Y),
        "an empty batch": (X[:0], Y[:0]),
        "fewer labels than samples": (X, Y[:3]),
        "a label that is no class": (X, np.full(7, 3)),
        "placed x of another width": (session.place(X[:, :4]), session.place(Y)),
        "fewer placed labels than samples": (session.place(X), session.place(Y[:3])),
        "placed x of whole numbers": (session.place(X.astype(int)), session.place(Y)),
        "placed labels that are no whole numbers": (session.place(X), session.place(Y * 1.0)),
        "a placed label that is no class": (session.place(X), session.place(np.full(7, 3))),
        "a placed label below 0": (session.place(X), session.place(np.full(7, -1))),
    }.items():
        for call in (session.step, session.evaluate, session.probe):
            refuses(partial(call, x, y), what)
    equal(session.state(), before)


def wrong_labels(loss: Data, subject: Subject) -> None:
    """A loss that compares labels with each class would find them in none, and go on; not so what it ignores."""
    session = subject.open(SPEC | {"loss": {"kind": "cross_entropy", **loss}})
    before, x = session.state(), session.place(X)
    ignored = loss.get("ignore_index")
    kept: Any = Y if ignored is None else np.where(np.arange(7) % 2, ignored, Y)
    for label in (3, -1):
        y = session.place(np.where(np.arange(7) == 4, label, kept))
        for given in ((x, y), (session.take(x, np.arange(5)), session.take(y, np.arange(5)))):
            for call in (session.step, session.evaluate, session.probe):
                refuses(partial(call, *given), f"the label {label} of 3 classes")
    equal(session.state(), before)
    for labels in (kept, kept if ignored is None else np.full(7, ignored)):
        session.step(x, session.place(labels))


def measuring(subject: Subject) -> None:
    """`evaluate`, `probe` and `forward` leave the state alone, repeat themselves, and agree with each other."""
    session = subject.open(spec((NORM, *DROPOUT), RULES["ldfa_oja_kp"]))
    session.step(X, Y)
    before = session.state()
    first, second = ((session.evaluate(X, Y), session.probe(X, Y), session.forward(X)) for _ in range(2))
    equal(session.state(), before)
    compare(first[0], second[0], 0)
    compare(first[1], second[1], 0)
    compare({"forward": first[2]}, {"forward": second[2]}, 0)
    hits = float(np.mean(first[2].argmax(1) == Y))
    require(abs(first[0]["accuracy"] - hits) < 1e-12, "`evaluate` counts other hits than `forward` makes")


def following(subject: Subject) -> None:
    """What is measured after steps, or after another state came in, is of the state as it is then."""
    session, other = subject.open(SPEC), subject.open(SPEC)
    start = session.state()
    first = session.evaluate(X, Y), session.probe(X, Y), session.forward(X)
    session.step(X, Y)
    other.load_state(session.state())
    compare(session.evaluate(X, Y), other.evaluate(X, Y), 0)
    compare(session.probe(X, Y), other.probe(X, Y), 0)
    compare({"forward": session.forward(X)}, {"forward": other.forward(X)}, 0)
    require(session.evaluate(X, Y)["loss"] != first[0]["loss"], "`evaluate` does not see the step")
    session.load_state(start)
    compare(session.evaluate(X, Y), first[0], 0)
    compare({"forward": session.forward(X)}, {"forward": first[2]}, 0)


def apart(subject: Subject) -> None:
    """Steps of one leave the other where it was."""
    artifact = subject.compile(SPEC)
    first, second = artifact.open(device=subject.device), artifact.open(device=subject.device)
    before = second.state()
    first.step(X, Y)
    equal(second.state(), before)
    second.step(X, Y)
    equal(second.state(), first.state())


def placed_again(subject: Subject) -> None:
    """A step does not write into the data."""
    session, other = subject.open(SPEC), subject.open(SPEC)
    x, y = session.place(X), session.place(Y)
    for _ in range(2):
        session.step(x, y)
        other.step(X, Y)
    equal(session.state(), other.state())


def not_finite(subject: Subject) -> None:
    """The trainer finds a divergence by the loss and the state: neither may hide it. Of samples it is refused."""
    for bad in (np.nan, np.inf):
        session = subject.open(SPEC)
        x = X.copy()
        x[2, 1] = bad
        refuses(partial(session.step, x, Y), f"a batch with {bad}")
    session = subject.open(SPEC)
    state = session.state()
    session.load_state(state | {"out.weight": np.full_like(state["out.weight"], np.inf)})
    require(not np.isfinite(float(session.step(X, Y)["loss"])), "the loss of numbers without end is finite")
    require(
        not np.isfinite(session.state()["fc1.weight"]).all(), "numbers without end do not reach the weights"
    )


def exported(subject: Subject) -> None:
    """For backends that export: the file, loaded anew, computes what the session does, for any batch size."""
    if not isinstance(subject.backend, Exporting):
        return
    artifact = subject.compile(spec((NORM, *NET)))
    session = artifact.open(device=subject.device)
    session.step(X, Y)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"network{subject.backend.exports}"
        file = artifact.export(session.state(), path, subject.device)
        for x in (X, X[:1], np.repeat(X, 40, axis=0)):
            compare(
                {"output": file.run(x)}, {"output": session.forward(x)}, TOLERANCE["step"][subject.precision]
            )


def resumes() -> Iterator[Case]:
    """Every rule, every second one from orthogonal weights, with every law and update in turn."""
    updates, laws = cycle(UPDATES), cycle(LAWS)
    for number, rule in enumerate(RULES):
        law, update = next(laws) if number % 2 else "orthogonal", next(updates)
        name = f"session/resumed equals unbroken x {rule} x {law} x {update}"
        yield Case(name, partial(resumed, rule, LAWS.get(law, law), update))


def resumed(rule: str, law: Any, update: str, subject: Subject) -> None:
    """Four steps are two, a file that is written and read, and two more: to the bit, masks and averages included.

    The products are wide enough that the last bits tell how the arrays lie in memory.
    """
    wide = (linear("fc1", 40, init=law), NORM, RELU, {"kind": "dropout", "rate": 0.5})
    layers = (*wide, linear("fc2", 20, init=law), RELU, linear("out", 3, init=law))
    feedback = RULES[rule] | ({"init": law} if RULES[rule].get("rule") in ("fa", "dfa") else {})
    artifact = subject.compile(spec(layers, feedback, UPDATES[update], shape=(17,)))
    given = batches(16, 16, 5, 16, shape=(17,))
    whole = artifact.open(device=subject.device)
    for x, y in given[:2]:
        whole.step(x, y)
    resumed = artifact.open(load(to_bytes(whole.state(), {})), subject.device)
    for x, y in given[2:]:
        losses = [float(session.step(x, y)["loss"]) for session in (whole, resumed)]
        require(losses[0] == losses[1], "the losses differ")
    equal(resumed.state(), whole.state())


def laid_out(subject: Subject) -> None:
    """State and data by columns, backwards or unaligned are the same state and data."""
    artifact = subject.compile(spec(mlp(40, 20, 3), RULES["ldfa_oja_kp"], UPDATES["momentum"], shape=(17,)))
    x, y = batch(16, shape=(17,))
    start = artifact.open(device=subject.device).state()

    def trained(layout: Callable[[Array], Array], placed: bool) -> dict[str, Array]:
        session = artifact.open({name: layout(array) for name, array in start.items()}, subject.device)
        given = layout(x), layout(y)
        for _ in range(2):
            session.step(*(map(session.place, given) if placed else given))
        return session.state() | {"output": session.forward(layout(x))}

    expected = trained(np.array, False)
    for layout in LAYOUTS:
        for placed in (False, True):
            equal(trained(layout, placed), expected)


def columns(array: Array) -> Array:
    """The same numbers, column by column."""
    return np.array(array, order="F")


def backwards(array: Array) -> Array:
    """The same numbers, the last one first in memory."""
    return np.flip(np.array(np.flip(array)))


def unaligned(array: Array) -> Array:
    """The same numbers, at an odd address."""
    room = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    room[...] = array
    return room


LAYOUTS = (columns, backwards, unaligned)


def unknown_device(subject: Subject) -> None:
    """By name, in a FacError."""
    refuses(lambda: subject.compile(SPEC).open(device="nowhere"), "the device `nowhere`")


def written(subject: Subject) -> None:
    """A manifest that says what it is and lists the files, and the initial state."""
    artifact = subject.compile(SPEC)
    with TemporaryDirectory() as folder:
        target = Path(folder) / "a" / "b"
        artifact.write(target)
        manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
        expected = {
            "backend": subject.backend.name,
            "precision": subject.precision,
            "spec_hash": artifact.compiled.spec_hash,
            "files": sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()),
        }
        found = {key: manifest.get(key) for key in expected} | {"files": sorted(manifest["files"])}
        require(found == expected, f"the manifest says {found}, but the folder is {expected}")
        initial = {
            name: array.astype(subject.precision) for name, array in artifact.compiled.initial().items()
        }
        equal(load((target / "state.safetensors").read_bytes()), initial | {STEP: np.array(0, np.int64)})
