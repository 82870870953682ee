"""The `data:` section of a spec: where the samples come from."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from fac.spec.base import Model


@dataclass(frozen=True, slots=True)
class Place:
    """`train: Annotated[str, Place()]`: a file or folder, and if relative, from the folder of the spec.

    What a run keeps leads to the same place from its own folder. Where data lie is not what they are: places do not
    count for the hash of a spec, and a run goes on with data that have moved. That they are the same data is
    known by their fingerprint.
    """


class Data(Model):
    """One data source. Each kind derives from this and adds `source: Literal["its_name"]` and its own fields.

    The kinds of the core stand in `fac/training/data/`, others come through the entry-point group `fac.data`. Fields
    that name files are marked with `Place`.
    """

    validation: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Which part of the training samples is held out of the training, and evaluated after each epoch "
        "beside the test samples. Where each sample has one label, each class gives its share.",
    )
    split_seed: int = Field(
        default=0,
        ge=0,
        lt=1 << 64,
        description="Seed of the drawing of samples that are held out; that of the training does not count, so runs "
        "of several seeds hold out the same.",
    )

    @property
    def by_step(self) -> tuple[str, ...]:
        """The fields that are set and that only a training by steps reads: what changes samples each time."""
        return ()


def places(kind: type[Data]) -> tuple[str, ...]:
    """The fields that name files or folders."""
    fields = kind.model_fields.items()
    return tuple(name for name, field in fields if any(isinstance(mark, Place) for mark in field.metadata))
