"""The whole spec, version 1. The installed kinds are loaded when the first spec is parsed."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fac.spec.adapters import AdapterGroup
from fac.spec.base import Model, OneOf
from fac.spec.constraints import Constraints
from fac.spec.data import Data
from fac.spec.feedback import Feedback, Routing
from fac.spec.layers import Head, Layer, Loss
from fac.spec.relations import either, true_without
from fac.spec.solve import AnySolve, Solve
from fac.spec.state_dict import StateKey
from fac.spec.train import Positive, Probe, Train
from fac.spec.updates import AnyUpdate, Update


class Input(Model):
    """What one sample looks like."""

    model_config = ConfigDict(json_schema_extra=true_without("mask", "classes"))

    shape: tuple[Positive, ...] = Field(description="Shape of one sample, without the batch.")
    classes: Positive | None = Field(
        None,
        description="It holds whole numbers from 0 to one less than this, such as the numbers of words; left out, real "
        "numbers.",
    )
    mask: bool = Field(
        False,
        description="It says which places of another input count: 1 where they do, 0 where not. See `mask` of layers.",
    )

    @model_validator(mode="after")
    def _one_sort(self) -> Input:
        if self.mask and self.classes is not None:
            raise ValueError("a mask holds 0 and 1, and has no `classes`")
        return self


def _printable(text: str) -> str:
    """Names are printed: a line of their own in a log could be a command to who reads it."""
    if not text.isprintable():
        raise ValueError("the name of a spec is one line of printable text")
    return text


def _some_input(value: Input | None, info: ValidationInfo) -> Input | None:
    """A network reads something."""
    if value is None and info.data.get("inputs", True) is None:
        raise PydanticCustomError("missing", "neither `input` nor `inputs`")
    return value


class ModelSpec(Model):
    """A network, the routing of its errors, and how it is trained."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [either("inputs", "input"), either("losses", "loss"), either("solve", "update")]
        }
    )

    other_keys: ClassVar = {
        "optimizer": "update",
        "optimiser": "update",
        **dict.fromkeys(("lr", "learning_rate"), "it stands in `update`: `update.lr`"),
        **{
            name: f"it stands in `update`: `update.{name}`"
            for name in ("momentum", "schedule", "weight_decay")
        },
        **{
            name: f"it stands in `train`: `train.{name}`"
            for name in ("epochs", "batch", "seed", "keep", "stop")
        },
        "batch_size": "it stands in `train`: `train.batch`",
        **{
            name: f"it stands in `feedback`: `feedback.{name}`"
            for name in ("rule", "rank", "routes", "learn")
        },
        **{name: f"it stands in `data`: `data.{name}`" for name in ("source", "validation")},
    }

    schema_: str | None = Field(
        None, alias="$schema", description="The JSON Schema, for editors of JSON files."
    )
    fac: Literal[1] = Field(description="Version of the spec format.")
    name: Annotated[str, AfterValidator(_printable)] = Field(
        min_length=1, description="Name of the experiment; output folders and headers carry it."
    )
    inputs: Annotated[Mapping[str, Input], Field(min_length=1)] | None = Field(
        None,
        description="Several inputs, or one with a name: what layers call it, and the arrays of the data. Instead of "
        "`input`.",
    )
    input: Annotated[Input | None, AfterValidator(_some_input)] = Field(
        None,
        validate_default=True,
        description="The data that the first layer reads; needed, unless there are `inputs`.",
    )
    layers: tuple[Annotated[Layer, OneOf("fac.layers")], ...] = Field(
        description="The network; the last layer is its output."
    )
    adapters: tuple[AdapterGroup, ...] = Field(
        (),
        description="Few parameters beside those of many layers, for fine-tuning: see `adapter` of `linear`.",
    )
    losses: (
        Annotated[tuple[Annotated[Loss, OneOf("fac.losses", mixin=Head)], ...], Field(min_length=1)] | None
    ) = Field(
        None, description="Several losses, of any layers, instead of `loss`. The first is that of the output."
    )
    loss: Annotated[Loss, OneOf("fac.losses")] | None = Field(
        None, description="What is minimised: a loss of the last layer's output.", validate_default=True
    )
    feedback: Feedback = Field(
        default_factory=Routing, description="Which error reaches which layer, through what."
    )
    solve: AnySolve | None = Field(
        None, description="How parameters are set from all training samples at once, instead of `update`."
    )
    update: AnyUpdate | None = Field(
        None, description="How parameters move once their gradients are known.", validate_default=True
    )
    data: Annotated[Data, OneOf("fac.data", "source")] | None = Field(None, description="What to train on.")
    train: Train = Field(default_factory=Train, description="The training run.")
    probes: tuple[Annotated[Probe, OneOf("fac.probes")], ...] | None = Field(
        None,
        description="What to measure at the end of each epoch. Default: `alignment`, `feedback_alignment`, "
        "`captured_energy` and "
        "`conservation`, as far as they apply.",
    )
    constraints: Constraints = Field(Constraints(), description="What must hold of this spec.")
    state_dict: tuple[StateKey, ...] = Field(
        (), description="How a module of PyTorch keeps arrays, where not as they are called and shaped here."
    )

    def save(self, path: str | PathLike[str], *, replace: bool = False) -> None:
        """Write it as a file that `fac.load` reads as the same spec.

        Args:
            path: ends in `.yaml`, `.yml` or `.json`; `.fac.yaml` is what `fac check` finds by itself.
            replace: whether a file that says something else may be lost.

        Raises:
            FacError: there is such a file, the name ends otherwise, or the file cannot be written.
        """
        from fac.render.presented import save

        save(self, path, replace)

    def _repr_html_(self) -> str:
        """The picture of its layers and errors, for notebooks."""
        from fac.render.presented import html

        return html(self)

    @property
    def minimised(self) -> tuple[Loss, ...]:
        """Every loss, the one of the output first."""
        return self.losses or (() if self.loss is None else (self.loss,))

    @property
    def epochs(self) -> int | None:
        """How long it is trained; None where it says so little of a training that others decide."""
        said = self.data is not None or "epochs" in self.train.model_fields_set
        return self.train.epochs if said else None

    @field_validator("update")
    @classmethod
    def _one_family(cls, update: Update | None, info: ValidationInfo) -> Update | None:
        solve = info.data.get("solve", ())
        if update is None and solve is None:
            raise PydanticCustomError("missing", "Field required")
        if update is not None and isinstance(solve, Solve):
            raise ValueError("`solve` sets the parameters, and no step moves them: remove one of the two")
        return update

    @field_validator("loss", mode="before")
    @classmethod
    def _one(cls, loss: Any) -> Any:
        if isinstance(loss, tuple | list):
            raise ValueError("`loss` is a single one: several are written under `losses`")
        return loss

    @field_validator("loss")
    @classmethod
    def _one_of_both(cls, loss: Loss | None, info: ValidationInfo) -> Loss | None:
        losses = info.data.get("losses", ())
        if loss is None and losses is None:
            raise PydanticCustomError("missing", "Field required")
        if loss is not None and losses is not None:
            raise ValueError("`losses` says what is minimised: move this one there, or remove one of the two")
        return loss
