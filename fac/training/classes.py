"""Classes of the data, and the outputs of a network that are for them: neither may be too many in silence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fac.diagnostics import FacError
from fac.step.feed import Feed
from fac.training.data.table import listed
from fac.training.dataset import Dataset, called


def head(feed: Feed) -> str:
    """Whose outputs a target is compared with."""
    return f"what `{feed.origin}` reads has" if feed.origin.startswith("losses") else "the network has"


def require_outputs(dataset: Dataset, feeds: Sequence[Feed]) -> None:
    """No more classes than there are outputs, whether a sample is of the last ones or not.

    Raises:
        FacError: naming the classes that have none.
    """
    feed, names = _labels(feeds), dataset.classes
    outputs = None if feed is None else feed.classes
    if feed is not None and outputs is not None and len(names) > outputs:
        raise FacError(
            f"`{dataset.name}` has {len(names)} classes, and {head(feed)} {outputs} outputs: none is for "
            f"{listed(names[outputs:])}; end with {len(names)} outputs"
        )


def require_class_names(dataset: Dataset, feeds: Sequence[Feed]) -> None:
    """Each label is the number of a class that has a name, where classes have names.

    Args:
        dataset: fitted.
        feeds: what the network is fed with.

    Raises:
        FacError: naming the first label that is none, with its sample.
    """
    feed, names = _labels(feeds), dataset.classes
    if feed is None or not names:
        return
    for part, split in dataset.splits.items():
        y = split.arrays[feed.name]
        wrong = y >= len(names)
        if feed.ignored is not None:
            wrong &= y != feed.ignored
        if wrong.any():
            at = tuple(int(place[0]) for place in wrong.nonzero())
            raise FacError(
                f"label {y[at]} of sample {at[0]}{feed.of} in {called(dataset, part)} is no class: names are for "
                f"0 to {len(names) - 1}, {listed(names)}"
            )


def unused_outputs(dataset: Dataset, feeds: Sequence[Feed]) -> Iterator[str]:
    """What is said of outputs for classes that the data do not have.

    Args:
        dataset: fitted.
        feeds: what the network is fed with. Where a sample has many labels, as a text has bytes, and classes have no
            names, it says nothing that some never come.
    """
    feed, names = _labels(feeds), dataset.classes
    if feed is None or feed.classes is None or (feed.shape and not names):
        return
    labels = (split.arrays[feed.name] for split in dataset.splits.values())
    classes = len(names) or 1 + max(int(_counting(y, feed).max(initial=-1)) for y in labels)
    if classes >= feed.classes:
        return
    last = feed.classes - 1
    units = f"unit {last} never is" if classes == last else f"units {classes} to {last} never are"
    named = f" ({listed(names)})" if names else ""
    yield (
        f"`{dataset.name}` has {classes} class{'es' * (classes != 1)}{named}, and the output has {feed.classes} units: "
        f"{units} a target"
    )


def _labels(feeds: Sequence[Feed]) -> Feed | None:
    """The feed that classes are of: the target of the first loss, if that classifies."""
    feed = next((feed for feed in feeds if feed.loss is not None), None)
    return feed if feed is not None and feed.classes is not None else None


def _counting(y: Any, feed: Feed) -> Any:
    """The labels that count."""
    return y if feed.ignored is None else y[y != feed.ignored]
