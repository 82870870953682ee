"""Torch on one thread: the machines that test are shared, and sums in one order are the same in every run.

And the cases of the shipped suite in the order in which all backends come to them together.
"""

from __future__ import annotations

import pytest
import torch

from fac.testing.suite import CASES, BackendConformance

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each case for all backends, then the next one: of what is built of a spec the suite keeps the last few only."""
    order = {id: place for place, id in enumerate(CASES)}

    def place(index: int) -> int:
        case = items[index].callspec.params["case"]  # type: ignore[attr-defined]
        return order[case.id]

    suite = [index for index, item in enumerate(items) if _is_case(item)]
    for index, item in zip(suite, [items[i] for i in sorted(suite, key=place)], strict=True):
        items[index] = item


def _is_case(item: pytest.Item) -> bool:
    function = getattr(item, "cls", None)
    return function is not None and issubclass(function, BackendConformance) and hasattr(item, "callspec")
