"""Where studies are: a folder, or the name of one that comes with `fac`."""

from __future__ import annotations

import hashlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import fac
from fac.backend import Backend
from fac.diagnostics import FacError
from fac.opening import DATA, opened
from fac.studies.benchmarks.model import Benchmark
from fac.studies.mistakes import asked
from fac.studies.model import Study

FILE = "study.py"
OWN = (".py", ".yaml", ".json", ".npz")
"""How files end of which results depend."""
_HOMES = tuple(
    home / part
    for home in (Path(fac.__file__).parent, Path(fac.__file__).parents[1] / "examples")
    for part in ("papers", "outside")
)
"""Of a wheel, and of a checkout."""


def names() -> tuple[str, ...]:
    """Those that come with `fac`."""
    return tuple(sorted({file.parent.name for home in _HOMES for file in home.glob(f"*/{FILE}")}))


def folder_of(name: str) -> Path:
    """The folder of a study.

    Args:
        name: of one that comes with `fac`, or a path with a separator in it, such as `./mine`.

    Raises:
        FacError: there is no `study.py`.
    """
    known = Path(name).name == name
    places = [home / name for home in _HOMES] if known else [Path(name)]
    for place in places:
        if (place / FILE).is_file():
            return place
    if known:
        raise FacError(
            f"no study is called `{name}`: there are {', '.join(f'`{one}`' for one in names())}; "
            f"one of your own is named as a path, `./{name}`"
        )
    raise FacError(f"`{name}` is no study: there is no `{FILE}` in it")


def read(folder: Path) -> Study | Benchmark:
    """Run a folder's `study.py`, and take its `STUDY`.

    Raises:
        FacError: it fails, or defines no study.
    """
    spec = spec_from_file_location(f"fac_study_{folder.resolve().name}", folder / FILE)
    assert spec is not None
    loader, module = spec.loader, module_from_spec(spec)
    assert loader is not None
    asked(f"`{folder / FILE}`", lambda: loader.exec_module(module))
    found = getattr(module, "STUDY", None)
    if not isinstance(found, Study | Benchmark):
        raise FacError(f"`{folder / FILE}` has to define `STUDY = Study(...)`, or `STUDY = Benchmark(...)`")
    return found


def digest(folder: Path, backend: Backend) -> str:
    """Of all that decides what a study measures there: its own files, and the code of `fac` and of the backend."""
    home = sys.modules[type(backend).__module__.partition(".")[0]].__file__
    code = [Path(place).parent for place in (fac.__file__, home) if place]
    files = [file for place in code for file in sorted(place.rglob("*.py"))]
    files += sorted(file for file in folder.iterdir() if file.suffix in OWN)
    found = hashlib.sha256()
    for file in files:
        with opened(file, DATA) as content:
            found.update(hashlib.file_digest(content, "sha256").digest())
    return found.hexdigest()
