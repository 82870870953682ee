"""What has to be installed, and what must not be installed together."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import distribution as installed
from importlib.util import find_spec

from fac.diagnostics import FacError

BUILDS = ("onnxruntime", "onnxruntime-gpu")
"""Distributions that bring the package `onnxruntime`. Each overwrites files of the other."""
ANEW = (
    "`pip uninstall -y onnxruntime onnxruntime-gpu`, then install one, "
    '`pip install "fac-compiler[onnx]"` for CPUs or `"fac-compiler[cuda]"` for CUDA'
)


def require_onnx() -> None:
    """Say how to get onnx if it is missing.

    Raises:
        FacError: onnx is not installed.
    """
    if find_spec("onnx") is None:
        raise FacError('backend `onnx` needs onnx and onnxruntime: pip install "fac-compiler[onnx]"')


def require_runtime() -> None:
    """Exactly one build of onnxruntime has to be there, and whole.

    Raises:
        FacError: none is, both are, or what is there cannot be imported.
    """
    found = [name for name in BUILDS if _installed(name)]
    if len(found) > 1:
        raise FacError(
            f"`onnxruntime` and `onnxruntime-gpu` are both installed and overwrite each other's files: {ANEW}"
        )
    if not found and find_spec("onnxruntime") is None:
        raise FacError(
            'backend `onnx` needs onnxruntime to run: pip install "fac-compiler[onnx]" for CPUs, '
            'or "fac-compiler[cuda]" for CUDA'
        )
    try:
        # The class too: of two builds, removing one takes files of the other and leaves an empty folder.
        from fac_onnx.runtime import ort

        ort.InferenceSession  # noqa: B018
    except (ImportError, AttributeError) as error:
        raise FacError(f"onnxruntime is installed but cannot be imported ({error}): {ANEW}") from error


def _installed(distribution: str) -> bool:
    try:
        installed(distribution)
    except PackageNotFoundError:
        return False
    return True
