"""The text of `run.py`, which `run_page` fills in, and what stands there for feedback set anew and for other steps."""

from __future__ import annotations

from string import Template

SVD = '''

def set_svd_pair(state, weight, p, q, axis=0):
    """Sets P [r, m] and Q [k, r] so that Q P is the best approximation of rank r to W^T, W as [m, k]."""
    w, (rank, m) = state[weight].numpy().astype(np.float64), state[p].shape()
    u, s, vt = np.linalg.svd(np.moveaxis(w, axis, 0).reshape(m, -1).T, full_matrices=False)
    # singular vectors are free in sign: the largest entry of each u is made positive
    signs = np.sign(np.take_along_axis(u, np.abs(u).argmax(0)[None], 0))[0]
    root = np.sqrt(s[:rank]) * signs[:rank]
    state[p].update_inplace(np.ascontiguousarray(root[:, None] * vt[:rank], FLOAT))
    state[q].update_inplace(np.ascontiguousarray(u[:, :rank] * root, FLOAT))
'''

OTHER_OPENED = """\
    other = open_model("{name}.onnx", args.device)  # makes some steps in the place of `model`
    also = json.loads(other.get_modelmeta().custom_metadata_map["fac.state_map"])
"""
OTHER_BOUND = """\
    turn, next_turn = bind(other, here, there, also, losses), bind(other, there, here, also, losses)
"""
OTHER_TURNED = """\
        due = (step + 1) % {every} == 0
        run = turn if due else binding
"""
OTHER_CARRIED = """\
        for name in moved.keys() - also.keys() if due else also.keys() - moved.keys():  # what stays as it is
            there[name].update_inplace(here[name].numpy())
"""

PAGE = Template('''\
"""Trains and evaluates a network with onnxruntime and NumPy alone: python run.py TRAIN.npz TEST.npz

Both files hold$held;
`fac data --precision $precision` writes them.
The order of the samples, the learning rates and the numbers are those of `fac train --backend onnx`, and
what it writes is a checkpoint of fac, too.

Network: $title
Made by fac $version from spec $spec_hash, in $precision.
"""

import argparse
import contextlib
import hashlib
import json
import math
import os
import secrets
import signal
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else onnxruntime sends events home

import numpy as np
import onnxruntime as ort

try:
    import fcntl
except ModuleNotFoundError:
    fcntl = None

SPEC, MADE = "$spec_hash", "$fingerprint"
FLOAT, BATCH, SEED = np.$precision, $batch, $seed
FEEDS = {  # of one sample: its shape; its type, a mask's is bool; its bounds, and what does not count
$rows
}
LOSSES = {$losses}  # the factor in the sum that is minimised, and how many labels a sample has
CHUNK = 2048  # samples at a time in evaluation, so that memory does not grow with the data
TYPES = {"F32": np.float32, "F64": np.float64, "F16": np.float16, "I64": np.int64}  # in safetensors
FORMAT, ZEROS = "2", "0" * 64  # of a state that carries a digest, and what counts in the place of that
HERE = Path(__file__).parent
value = ort.OrtValue.ortvalue_from_numpy  # on a CPU it lies in the array's own memory


def factor(step, steps_per_epoch, epochs):
    """The schedule: what the learning rate is multiplied by. Steps count from 0."""
$factor


def order(epoch, n):
    """The order of n samples in an epoch: random words, sorted, because NumPy may change how it shuffles."""
    words = np.random.Philox(key=np.array([SEED, epoch], np.uint64)).random_raw(n)
    return np.argsort(words, kind="stable")


def load_data(path):
    """{name: array}, checked, because most that does not fit would train all the same."""
    try:
        with np.load(path) as file:
            data = {name: file[name] for name in FEEDS}
    except Exception as error:  # a damaged file raises one of half a dozen kinds
        raise SystemExit(f"`{path}` is no npz file with arrays $names: {error}") from error
    n = None
    for name, (shape, kind, bounds, ignored) in FEEDS.items():
        array, whole = data[name], kind is np.int64
        fits = array.dtype.kind in ("iu" if whole else "iufb") and array.size and array.shape[1:] == shape
        if not fits or len(array) != (n or len(array)):
            held = ("whole numbers " * whole) + f"[{', '.join(map(str, (n or 'N', *shape)))}]"
            raise SystemExit(f"{name} in `{path}` has to hold {held}, not {array.dtype} {list(array.shape)}")
        known = np.where(array == ignored, 0, array)
        if bounds and not bounds[0] <= known.min() <= known.max() <= bounds[1]:
            found, allowed = f"{array.min()} to {array.max()}", f"{bounds[0]} to {bounds[1]}"
            raise SystemExit(f"{name} in `{path}` goes from {found}, not from {allowed}")
        if kind is bool and (array % 1).any():
            raise SystemExit(f"{name} in `{path}` is a mask of 0 and 1, and has other numbers")
        with np.errstate(over="ignore"):
            data[name] = array.astype(kind if whole else FLOAT)
        if not np.isfinite(data[name]).all():
            raise SystemExit(f"{name} in `{path}` holds numbers that are not finite in $precision")
        n = len(array)
    return data


def samples(data):
    """How many there are."""
    return len(next(iter(data.values())))


def sha256(*parts):
    """Of a state, with zeros in the place of the digest that it carries."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def load_state(path):
    """(metadata, {name: array}). A safetensors file: 8 bytes of length, so many bytes of JSON, the data."""
    try:
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header, state = json.loads(content[8:start].decode()), {}
        about = {str(key): str(text) for key, text in header.pop("__metadata__", {}).items()}
        dict(json.loads(about.get("spec", "{}")))  # or it is none of ours
        for name, entry in header.items():
            kind, shape, (begin, _) = entry["dtype"], entry["shape"], entry["data_offsets"]
            if kind not in TYPES:
                raise SystemExit(f"`{name}` in `{path}` is {kind}: store it as one of {', '.join(TYPES)}")
            state[name] = np.frombuffer(content, TYPES[kind], math.prod(shape), start + begin).reshape(shape)
        digest = about.get("digest", "")
        said = content[:start].replace(digest.encode(), ZEROS.encode()) if digest else content[:start]
        whole = sha256(said, memoryview(content)[start:]) == digest
    except OSError as error:
        raise SystemExit(f"cannot read `{path}`: {error.strerror or error}") from error
    except Exception as error:  # a damaged file raises one of half a dozen kinds
        why = "no safetensors file, or a part of one: give a state that `fac train` or this program wrote"
        raise SystemExit(f"`{path}` is {why}") from error
    if not whole and (digest or about.get("fac_checkpoint") == FORMAT):
        raise SystemExit(f"`{path}` is damaged, by its SHA-256: bring back a copy, or make it anew")
    return about, state


def starting_state(path):
    """(metadata, {name: array}) of a state of this spec. Arrays alone will do, if none is missing."""
    (about, state), (own, initial) = load_state(path), load_state(HERE / "state.safetensors")
    if about.get("spec_hash", SPEC) != SPEC:
        mine, theirs = (json.loads(one.get("spec", "{}")) for one in (own, about))
        keys = ", ".join(repr(key) for key in mine | theirs if mine.get(key) != theirs.get(key))
        why = f"`{about.get('name')}`: they differ in {keys}; compile that spec, or leave out `--state`"
        raise SystemExit(f"the state in `{path}` is of another spec, {why}")
    shapes = {name: array.shape for name, array in initial.items() if name != "step"}
    wrong = [f"no `{k}` of shape {list(v)}" for k, v in shapes.items() if np.shape(state.get(k)) != v]
    wrong += [f"`{name}`, which is not of this network" for name in state if name not in initial]
    if wrong:
        what = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        how = "fac makes a whole one of parameters: `fac.compile(SPEC).open(state, derive=True).state()`"
        raise SystemExit(f"the state in `{path}` has {what}; {how}")
    step = state.get("step", np.array(0))
    if step.ndim or not 0 <= step < 2**53 or step % 1:
        raise SystemExit(f"`step` of the state in `{path}` is {step}, not a number of steps")
    # of an epoch that `fac train` began, and of the folder which that was in
    aside = ("loss_sum", "loss_sums", "base")
    return {key: text for key, text in (own | about).items() if key not in aside}, state


def save_state(path, about, state):
    """Writes beside the file and renames: whatever happens, one whole state is there."""
    header, end = {"__metadata__": {**about, "fac_checkpoint": FORMAT, "digest": ZEROS}}, 0
    for name, array in state.items():
        kind = next(key for key, dtype in TYPES.items() if array.dtype == dtype)
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text, arrays = json.dumps(header).encode(), [np.ascontiguousarray(a) for a in state.values()]
    length, place = len(text).to_bytes(8, "little"), b'"digest": "'
    digest = sha256(length, text, *arrays).encode()
    text = text.replace(place + ZEROS.encode(), place + digest, 1)
    unfinished = path.with_name(f".fac-{secrets.token_hex(8)}")  # where no link can lie in wait
    try:
        with open(unfinished, "xb") as file:
            locked(file)
            for part in (length, text, *arrays):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # an open file cannot be renamed on such systems
            os.replace(unfinished, path)
    except OSError as error:
        raise SystemExit(f"cannot write `{path}`: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def locked(file):
    """Whether nobody else is at work on a file; from now on this process is, and `fac` leaves it alone."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, AttributeError):  # another is, or the system has no locks
        return False
    return True


def sweep(folder):
    """Removes what a process that was killed left of a state."""
    for path in folder.glob(".fac-" + 16 * "[0-9a-f]"):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                with open(path, "rb") as file:
                    if locked(file):
                        path.unlink()


def open_model(name, device):
    """A session on that device, where onnxruntime by itself would go on elsewhere."""
    if device == "cuda" and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds CUDA where it was installed as Python packages
    options, threads = ort.SessionOptions(), os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else 0  # 0: as it likes
    options.add_session_config_entry("session.set_denormal_as_zero", "1")  # slow on many CPUs
    options.log_severity_level = 3  # its warnings are about its own optimiser
    # higher levels move constants into float32 attributes, which costs float64 half its digits
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    wanted = f"{device.upper()}ExecutionProvider"  # CUDA has to come before CPU
    usable = sorted({wanted, "CPUExecutionProvider"} & set(ort.get_available_providers()), reverse=True)
    try:
        # what is left out drops factors that float32 rounds to 1, also from float64
        exact = {"disabled_optimizers": ["NoopElimination"], "enable_fallback": 0}
        model = ort.InferenceSession(HERE / name, options, usable, **exact)
    except Exception as error:  # its exceptions share no base class but this one
        raise SystemExit(f"cannot load `{HERE / name}`: {error}") from error
    if wanted not in model.get_providers():
        raise SystemExit(f"onnxruntime has no {wanted} here: CUDA needs onnxruntime-gpu and a GPU")
    if model.get_modelmeta().custom_metadata_map.get("fac.fingerprint") != MADE:
        raise SystemExit(f"`{HERE / name}` was made from another spec, or otherwise: compile the folder anew")
    return model


def bind(model, here, there, moved, losses):
    """A step that reads the state `here`, writes it `there`, and what is minimised into `losses`."""
    binding = model.io_binding()
    for name in here.keys() & {item.name for item in model.get_inputs()}:
        binding.bind_ortvalue_input(name, here[name])
    for name, output in moved.items():
        binding.bind_ortvalue_output(output, there[name])
    for name, loss in losses.items():
        binding.bind_ortvalue_output(name, loss)
    return binding


def evaluate(model, state, data):
    """Means over all samples, with layers as in inference, as text."""
    sums, n, names = {}, samples(data), [item.name for item in model.get_outputs()]
    for start in range(0, n, CHUNK):
        end = min(start + CHUNK, n)
        feeds = state | {name: value(array[start:end]) for name, array in data.items()}
        feeds = {item.name: feeds[item.name] for item in model.get_inputs()}
        made = model.run_with_ort_values(names, feeds)
        found = {name: float(number.numpy()) for name, number in zip(names, made, strict=True)}
        for of, (_, labels) in LOSSES.items():  # a loss is a mean over its weight, hits are a sum
            weight = found.get(of + "weight", end - start)
            parts = [found[of + "loss"] * (weight or 1), weight]
            parts += [found.get(of + "hits", 0), found.get(of + "counted", labels * (end - start))]
            sums[of] = np.add(parts, sums.get(of, 0.0))
    shown = {"test loss": sum(LOSSES[of][0] * loss / (w or 1) for of, (loss, w, *_) in sums.items())}
$each\
    return "  ".join(f"{name} {number:.4f}" for name, number in shown.items())
$svd

def say(*words):
    """Prints a line. A training outlives who reads it."""
    try:
        print(*words, sep="  ", flush=True)
    except OSError:  # what comes behind goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plain(text):
    """A message without what steers a terminal: names in it may hold that."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def arguments():
    """What the command line says, checked."""
    parser = argparse.ArgumentParser(
        description="Train and evaluate with onnxruntime and NumPy alone.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("train", type=Path, metavar="TRAIN.npz")
    parser.add_argument("test", type=Path, metavar="TEST.npz")
    parser.add_argument("--epochs", type=int, default=$epochs, help="in all, those of --state included")
    parser.add_argument("--lr", type=float, default=$lr, help="before the schedule")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where it runs")
    parser.add_argument("--state", type=Path, default=HERE / "state.safetensors", help="where to start")
    parser.add_argument("--out", type=Path, default=Path("trained.safetensors"), help="what to write")
    args = parser.parse_args()
    if args.epochs < 0 or not 0 < args.lr < math.inf:
        parser.error("--epochs has to be 0 or more, and --lr a number above 0")
    if args.out.suffix != ".safetensors" or args.out.is_dir() or not args.out.parent.is_dir():
        parser.error(f"--out `{args.out}` has to be a file NAME.safetensors in a folder that is there")
    return args


def main():
    """Trains, and says after each epoch how it goes."""
    sys.stdout.reconfigure(errors="backslashreplace")  # a code page may lack letters of file names
    args = arguments()
    if any(HERE.glob(".fac-*.ready")):
        why = "is half replaced by a `fac compile` that was cut off: make that call again"
        raise SystemExit(f"`{HERE}` {why}")
    sweep(args.out.parent)
    model, tester = open_model("step.onnx", args.device), open_model("evaluate.onnx", args.device)
$opened\
    about, state = starting_state(args.state)
    data, test = load_data(args.train), load_data(args.test)
    first, n = int(state.get("step", 0)), samples(data)
    steps_per_epoch = n // BATCH  # a last partial batch is dropped
    if steps_per_epoch == 0:
        raise SystemExit(f"a batch has {BATCH} samples, but `{args.train}` only {n}")
    last = steps_per_epoch * args.epochs

    # The state lies in two sets of buffers, which a step reads and writes in turn. An output in the memory of
    # an input would be accepted too, and be wrong wherever a node reads the old value after the new one is
    # written. What no step moves has one buffer.
    moved = json.loads(model.get_modelmeta().custom_metadata_map["fac.state_map"])  # {array: output}
    here = {name: value(array.astype(FLOAT), args.device) for name, array in state.items() if name != "step"}
    there = here | {name: value(state[name].astype(FLOAT), args.device) for name in $kept}
    losses = {of + "loss": value(np.zeros((), FLOAT)) for of in ("", *LOSSES)}
    binding, spare = bind(model, here, there, moved, losses), bind(model, there, here, moved, losses)
$bound\
    stopped = []
    for number in (getattr(signal, name, signal.SIGINT) for name in ("SIGINT", "SIGTERM", "SIGHUP")):
        if signal.getsignal(number) is not signal.SIG_IGN:  # which `nohup` asks for
            signal.signal(number, lambda came, _: stopped.append(came))  # ends after the step under way
    for step in range(first, last):
        epoch, position = divmod(step, steps_per_epoch)
        if position == 0 or step == first:
            shuffled, made = order(epoch, n), []
        rows = shuffled[position * BATCH : (position + 1) * BATCH]
$turned\
        for name, array in data.items():
            $turn.bind_cpu_input(name, array[rows])
$feeds
        $model.run_with_iobinding($turn)
$carried\
        here, there, binding, spare = there, here, spare, binding
$swapped\
        made.append([float(loss.numpy()) for loss in losses.values()])
        if not math.isfinite(made[-1][0]):
            raise SystemExit(f"the loss of step {step} is {made[-1][0]}: try a lower --lr")
$between\
        if position + 1 == steps_per_epoch or stopped:
            arrays = {name: here[name].numpy() for name in state if name != "step"}
            save_state(args.out, about, arrays | {"step": np.array(step + 1)})
        if stopped:
            print(plain(f"stopped after step {step + 1}: go on with `--state {args.out}`"), file=sys.stderr)
            raise SystemExit(128 + stopped[0])  # as shells have it
        if position + 1 == steps_per_epoch:
            each = zip(losses, zip(*made, strict=True), strict=True)  # loss: of all steps
            shown = [f"train {name.replace(':', '.')} {sum(found) / len(found):.4f}" for name, found in each]
            shown.append(evaluate(tester, here, test))
            say(f"epoch {epoch + 1}/{args.epochs}", *shown)
    done = f"the state is in `{args.out}`"
    say(done if first < last else f"nothing to train after {first} steps  {evaluate(tester, here, test)}")


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        told = plain(end.code) if isinstance(end.code, str) else end.code
        raise SystemExit(told) from end.__cause__
''')
