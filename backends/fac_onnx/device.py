"""Execution providers of onnxruntime: asked for by name, and read back from the session that was made."""

from __future__ import annotations

import os
from functools import cache

from onnx import ModelProto, TensorProto, helper

from fac.backend import denormals_as_zero
from fac.diagnostics import FacError
from fac_onnx.runtime import ort

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def available() -> tuple[str, ...]:
    """CUDA first, if a session can really be opened on it."""
    return ("cuda", "cpu") if _problem("cuda") is None else ("cpu",)


def chosen(name: str | None) -> str:
    """The device of that name, or the default one.

    Raises:
        FacError: there is none of that name, or onnxruntime falls back to another one here.
    """
    name = name or available()[0]
    if name not in PROVIDERS:
        raise FacError(
            f"the onnx backend runs on {' and '.join(f'`{d}`' for d in PROVIDERS)}, not on `{name}`"
        )
    problem = _problem(name)
    if problem is not None:
        raise FacError(problem)
    return name


def session(content: bytes | str, device: str, *, planned: bool = False) -> ort.InferenceSession:
    """A session on that device.

    Args:
        content: the serialised model, or the path of its file.
        device: `cpu` or `cuda`.
        planned: whether memory is planned after the first run, as one piece beside all that the arena has by then. That
            is half as much memory again, and saves 5 % of a step of 0.2 ms.

    Raises:
        FacError: the model cannot be read, or onnxruntime would run it elsewhere.
    """
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads()
    options.enable_mem_pattern = planned
    # Higher levels move constant factors into float32 attributes, which costs float64 half its digits, gain 1 % at
    # most on a step, and take seconds on graphs of thousands of nodes.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    wanted = [PROVIDERS[device]] if device == "cpu" else [PROVIDERS[device], PROVIDERS["cpu"]]
    try:
        # The first session of a process sets the flag for this thread, too, and leaves it: here it is put back.
        with denormals_as_zero():
            # its own fallback would go on elsewhere, on failures of single runs too, and print to standard output
            made = ort.InferenceSession(
                content, options, providers=wanted, enable_fallback=0, disabled_optimizers=INEXACT
            )
    except Exception as error:  # onnxruntime's exceptions share no base class but this one
        where = f" `{content}`, which may be damaged or incomplete" if isinstance(content, str) else ""
        raise FacError(f"onnxruntime cannot load the model{where}: {first_line(error)}") from error
    if PROVIDERS[device] not in made.get_providers():
        raise FacError(f"onnxruntime gives {', '.join(made.get_providers())} where `{device}` was asked for")
    return made


def runtime(made: ort.InferenceSession) -> str:
    """What runs a session, as it says itself."""
    return f"onnxruntime {ort.__version__} ({', '.join(made.get_providers())})"


def threads() -> int:
    """How many threads run one operator: `OMP_NUM_THREADS`, or 0, which leaves the choice to onnxruntime.

    torch and the BLAS of NumPy go by this variable; onnxruntime by itself does not look at it.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() else 0


ERRORS_ONLY = 3
"""Warnings of onnxruntime are about its own optimiser; what matters to a user is checked here and raised."""


INEXACT = ["NoopElimination"]
"""Drops factors that float32 rounds to 1 and summands that it rounds to 0, also in a graph of float64, where they are
neither. A graph of ours has no operations that really do nothing: a pass has removed them."""


@cache
def _problem(name: str) -> str | None:
    """Why a session cannot be opened on a device, found by opening one: a list of providers promises too much."""
    provider = PROVIDERS[name]
    if provider not in ort.get_available_providers():
        return (
            f"this build of onnxruntime ({ort.__version__}) has no {provider}: for CUDA, "
            '`pip uninstall -y onnxruntime`, then `pip install "fac-compiler[cuda]"`'
        )
    if name == "cuda" and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    try:
        session(_tiny().SerializeToString(), name)
    except FacError as error:
        return (
            f"onnxruntime cannot use `{name}` here ({error}): it needs a GPU, its driver, and the CUDA and cuDNN "
            "versions of this onnxruntime"
        )
    return None


def _tiny() -> ModelProto:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "tiny", value[:1], value[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def first_line(error: Exception) -> str:
    """What an exception of onnxruntime says first."""
    return str(error).strip().partition("\n")[0]
