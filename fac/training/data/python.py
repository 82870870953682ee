"""Data that a function of one's own makes: it is a program, and runs only if who runs `fac` says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.training.data.own import Own, arrays, named, to_be_scaled
from fac.training.dataset import DataKind, Dataset, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fac.backend import Precision

Value = bool | int | float | str | None
_allowed = False


class Python(Own):
    """`(train, test)`, or a mapping with `train`, `test` and perhaps `validation`, as a function returns them.

    Each is `(x, y)` or a mapping from names to arrays. The module is looked for where Python finds modules, and then in
    the folder of the spec. Nothing of it runs without `--allow-code`.
    """

    source: Literal["python"] = Field(
        default="python", description="What a function of one's own returns; needs `--allow-code`."
    )
    function: str = Field(
        pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$",
        description="Which function: `package.module:function`.",
    )
    args: Mapping[str, Value] = Field(default_factory=dict, description="What it is called with, by name.")


def allowed() -> bool:
    """Whether specs may."""
    return _allowed


def allow() -> None:
    """Let specs name functions that are run in this process: what `--allow-code` does."""
    global _allowed
    _allowed = True


def load(data: Python, base: Path, precision: Precision) -> Dataset:
    """What the function returns, as `arrays` would have it.

    Raises:
        FacError: nobody has allowed it, there is no such function, it fails, or returns something else.
    """
    place = f"`{data.function}` (`data.function`)"
    if not _allowed:
        raise FacError(
            f"{place} is code that the spec names, and nothing of it runs unless you say so: read it, and add "
            "`--allow-code`"
        )
    with _importable(base), _blamed(place):
        function = _function(data.function)
        made = function(**data.args)
    splits = {
        part: _split(data, of, f"{place}, `{part}`", precision) for part, of in _parts(made, place).items()
    }
    found = Dataset(
        "python",
        splits["train"],
        splits["test"],
        validation=splits.get("validation"),
        classes=data.class_names or (),
    )
    if found.validation is not None and data.validation is not None:
        raise FacError(f"{place} returns a `validation` part, and `data.validation` holds one out: remove it")
    return to_be_scaled(data, found)


@contextmanager
def _importable(base: Path) -> Iterator[None]:
    """Modules of the spec's folder are found, after all others."""
    folder = str(base.resolve())
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@contextmanager
def _blamed(place: str) -> Iterator[None]:
    """Whatever goes wrong in the code is one message, with the line."""
    import traceback

    try:
        yield
    except FacError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise FacError(
            f"{place} fails: {type(error).__name__}: {str(error)[:200]} ({Path(last.filename).name}, line "
            f"{last.lineno})"
        ) from error


def _function(written: str) -> Any:
    from importlib import import_module

    module, _, name = written.partition(":")
    found = getattr(import_module(module), name)
    if not callable(found):
        raise TypeError(f"`{name}` is no function")
    return found


def _parts(made: Any, place: str) -> Mapping[str, Any]:
    """The splits by name."""
    if isinstance(made, tuple | list) and len(made) == 2:
        return {"train": made[0], "test": made[1]}
    if isinstance(made, Mapping) and {"train", "test"} <= made.keys() <= {"train", "test", "validation"}:
        return made
    raise FacError(
        f"{place} returns {_what(made)}: return `(train, test)`, or a mapping with `train`, `test` and perhaps "
        "`validation`"
    )


def _split(data: Python, made: Any, place: str, precision: Precision) -> Split:
    import numpy as np

    keys = data.names or (data.x, data.y)
    if isinstance(made, tuple | list) and len(made) == 2 and data.names is None:
        made = dict(zip(keys, made, strict=True))
    if not isinstance(made, Mapping) or not set(keys) <= made.keys():
        wanted = ", ".join(f"`{key}`" for key in keys)
        raise FacError(f"{place} is {_what(made)}: return `(x, y)`, or a mapping with {wanted}")
    found: dict[str, NDArray[Any]] = {}
    for key in keys:
        try:
            array = np.asanyarray(made[key])
        except ValueError as error:
            raise FacError(f"{place}, `{key}` is no array: {str(error)[:200]}") from error
        if array.dtype.kind not in "iufb" or not array.ndim:
            raise FacError(
                f"{place}, `{key}` has shape {list(array.shape)} of {array.dtype}: give numbers with one row for "
                "each sample"
            )
        found[key] = array
    return named(data, found, precision)


def _what(made: Any) -> str:
    if isinstance(made, Mapping):
        return "a mapping with " + (", ".join(f"`{key}`" for key in list(made)[:10]) or "nothing")
    if isinstance(made, tuple | list):
        return f"{type(made).__name__} of {len(made)}"
    return type(made).__name__


KIND = DataKind("python", Python, load, arrays=arrays)
