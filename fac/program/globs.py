"""Globs (`*`, `?`, `[ab]`) of names, many over the same names."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache

_SPECIAL = re.compile(r"[*?[]")


class Names:
    """Names in their order. A glob is compared only with those that begin as it does, and only once."""

    def __init__(self, names: Iterable[str]) -> None:
        self._place = {name: place for place, name in enumerate(dict.fromkeys(names))}
        self._sorted = sorted(self._place)
        self._found: dict[str, tuple[str, ...]] = {}

    def matching(self, glob: str) -> tuple[str, ...]:
        """Those that a glob means."""
        found = self._found.get(glob)
        if found is None:
            found = self._found[glob] = self._matching(glob)
        return found

    def near(self, glob: str) -> int:
        """How many names a glob has to be compared with."""
        return len(self._near(glob)) if is_glob(glob) else 0

    def _matching(self, glob: str) -> tuple[str, ...]:
        if not is_glob(glob):
            return (glob,) if glob in self._place else ()
        near = self._near(glob)
        means = filter(_compiled(glob), self._sorted[near.start : near.stop])
        return tuple(sorted(means, key=self._place.__getitem__))

    def _near(self, glob: str) -> range:
        """The places of the names that begin as the glob does, among those in the order of the alphabet."""
        begin = _SPECIAL.split(glob, maxsplit=1)[0]
        first, last = bisect_left(self._sorted, begin), bisect_left(self._sorted, begin + "\U0010ffff")
        return range(first, last)


def is_glob(name: str) -> bool:
    """Whether the name stands for others."""
    return _SPECIAL.search(name) is not None


@lru_cache(maxsize=1024)
def _compiled(glob: str) -> Callable[[str], object]:
    if "?" in glob or "[" in glob:
        return re.compile(translate(glob)).match
    # Stars alone need no search that goes back, which many stars would make slow.
    first, *middle, last = glob.split("*")

    def means(name: str) -> bool:
        if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
            return False
        at, end = len(first), len(name) - len(last)
        for part in middle:
            at = name.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return means
