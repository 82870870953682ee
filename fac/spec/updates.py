"""How parameters move once their gradients are known. The rules stand in `fac.updates`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.spec.base import Model, OneOf
from fac.spec.schedules import AnySchedule


class Clip(Model):
    """Limits on gradients, applied before the update rule."""

    by: Literal["value", "norm"] = Field(
        description="`value` clamps each entry; `norm` scales all gradients by one factor."
    )
    at: Annotated[float, Field(gt=0)] = Field(description="The largest entry, or the largest global norm.")


WHOLE = "it is said once, of `update` as a whole; in Python that is a mapping, `update={'rule': ..., 'schedule': ...}`"


class Rule(Model):
    """What every update rule has."""

    other_keys: ClassVar = {
        "learning_rate": "lr",
        "step_size": "lr",
        **dict.fromkeys(("schedule", "clip", "groups"), WHOLE),
    }

    lr: Annotated[float, Field(gt=0)] = Field(description="Learning rate.")


AnyRule = Annotated[Rule, OneOf("fac.updates", "rule")]


class Setting(Model):
    """A departure from the main rule for some parameters."""

    lr_scale: Annotated[float, Field(ge=0)] = Field(1.0, description="Factor on the learning rate.")
    weight_decay: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Replaces the rule's weight decay."
    )
    use: AnyRule | None = Field(None, description="Another update rule, with settings of its own.")


class Group(Setting):
    """Parameters by glob of their names. The last group that matches one counts, a name before globs."""

    match: str = Field(description="Glob of parameter names such as `fc1.weight` or `*.bias`.")
    trainable: bool = Field(
        True,
        description="False keeps the parameters of layers at their initial values. A layer with no others needs no "
        "error; it goes forward as before, and the averages of a `batch_norm` go on. `trainable: false` of the layer "
        "itself stops both.",
    )
    keep: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="Of how many units of each layer gradients are kept; those of all others are zero. Which ones the "
        "seed says, for weights and biases alike, those of a smaller number among those of a larger one.",
    )


class Shared(Model):
    """The fields of `update:` that belong to the whole network rather than to one rule."""

    schedule: AnySchedule = Field("constant", description="How the learning rate changes over training.")
    clip: Clip | None = Field(None, description="Limits on gradients.")
    feedback: Setting | None = Field(None, description="Other settings for learned feedback matrices.")
    groups: tuple[Group, ...] = Field((), description="Other settings for some parameters.")


class Update(Rule, Shared):
    """The `update:` section: a rule and what is shared by all parameters."""


AnyUpdate = Annotated[Update, OneOf("fac.updates", "rule", Shared)]
