"""Classes of torchvision by their names, and what they are made with. It is asked: no list of them stands here."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from fac.diagnostics import FacError


def class_of(module: str, base: str, what: str, name: str, place: str, without: Collection[str] = ()) -> Any:
    """A class of that name.

    Args:
        module: of torchvision, such as `datasets`.
        base: the class there from which it has to derive.
        what: what messages call such a class.
        name: of the class.
        place: where the spec names it.
        without: names that do not count.

    Raises:
        FacError: torchvision is not installed, or has no such class.
    """
    try:
        found = import_module(f"torchvision.{module}")
    except (ImportError, RuntimeError) as error:  # of another build than torch it raises the latter
        raise FacError(
            f'{place} needs torchvision, of the build of torch that is installed, "fac-compiler[torchvision]": '
            f"{str(error)[:200]}"
        ) from error
    every = {each: getattr(found, each) for each in dir(found) if not each.startswith("_")}
    known = [
        each
        for each, of in every.items()
        if inspect.isclass(of) and issubclass(of, every[base]) and each not in without
    ]
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(known[:10])} and others"
        raise FacError(f"torchvision has no {what} `{name}` ({place}): {hint}")
    return every[name]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that is likely meant, however it is written."""
    plain = {_plain(each): each for each in known}
    found = get_close_matches(_plain(name), plain, n=1)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def accepted(make: Any) -> Mapping[str, inspect.Parameter]:
    """What a class is made with, by name; what it passes on as keywords is named by the classes above."""
    known: dict[str, inspect.Parameter] = {}
    for each in make.__mro__:
        own = inspect.signature(each.__init__).parameters if "__init__" in vars(each) else {}
        named = {name: of for name, of in own.items() if of.kind not in (of.VAR_KEYWORD, of.VAR_POSITIONAL)}
        known = {**named, **known}
        if own and not any(of.kind is of.VAR_KEYWORD for of in own.values()):
            break
    return {name: of for name, of in known.items() if name != "self"}


def listed(known: Iterable[str]) -> str:
    """What a class is made with, for messages."""
    return ", ".join(f"`{each}`" for each in known) or "none"
