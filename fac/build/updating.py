"""Which update rule moves which parameter, and the ops that do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from fac.program.kinds import Updated
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.program.tensors import Role, Tensor
from fac.spec.updates import Clip, Group, Rule, Setting
from fac.step.builder import Builder
from fac.step.contraction import weight_of
from fac.step.factors import Factors, factors
from fac.step.ir import Phase, Value
from fac.step.random import key

NORM_EPS = 1e-6
"""Added to the global norm before dividing, as torch.nn.utils.clip_grad_norm_ does."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one parameter moves: a rule, and its rate as a multiple of the step's `lr`."""

    rule: Rule
    lr_ratio: float
    keep: int | None = None
    """Of how many units its gradient counts; None for all."""

    @property
    def bare(self) -> Rule:
        """The rule without what all parameters share."""
        spec = kind_of("fac.updates", self.rule).spec
        made: Rule = spec(**{name: getattr(self.rule, name) for name in spec.model_fields})
        return made

    def settings(self, lr: float) -> dict[str, object]:
        """All of them by name, `rule` and `lr` first.

        Args:
            lr: of the spec.
        """
        rule = self.bare.model_dump()
        # A ratio and a product round; what is left is what people wrote.
        rate = lr if self.lr_ratio == 1 else float(f"{self.lr_ratio * lr:.14g}")
        kept = {} if self.keep is None else {"keep": self.keep}
        return {"rule": rule.pop("rule"), "lr": rate} | {k: v for k, v in rule.items() if k != "lr"} | kept

    def slots(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """The optimiser state of the parameter, zero at the start."""
        names: tuple[str, ...] = kind_of("fac.updates", self.rule).slots(self.rule)
        return tuple(Tensor(f"{tensor.name}.{n}", tensor.shape, "zeros", role=Role.OPTIMISER) for n in names)


def plan(program: Program, tensor: Tensor) -> Plan:
    """The main rule, then `feedback:` for feedback matrices, then the last group that matches by name.

    Whichever it is may leave the parameter to another one.
    """
    update, number = program.update, program.grouped.get(tensor.name)
    setting: Setting | None = update.feedback if tensor.role == Role.FEEDBACK else None
    keep = None
    if number is not None:
        setting = update.groups[number]
        keep = kept_units(program, tensor, update.groups[number])
    rule: Rule = setting.use or update if setting else update
    rule = handed(rule, program, tensor)[-1]
    if setting is None:
        return Plan(rule, 1.0 if rule is update else rule.lr / update.lr)
    if setting.weight_decay is not None:
        rule = rule.model_copy(update={"weight_decay": setting.weight_decay})
    return Plan(rule, setting.lr_scale * rule.lr / update.lr, keep)


def handed(rule: Rule, program: Program, tensor: Tensor) -> list[Rule]:
    """A rule, the one to which it leaves a parameter, and so on: the last one moves it."""
    found, following = list[Rule](), rule
    # One that leaves a parameter to its like moves it after all.
    while following not in found:
        found.append(following)
        following = kind_of("fac.updates", following).instead(following, program, tensor) or following
    return found


def kept_units(program: Program, tensor: Tensor, group: Group) -> int | None:
    """Of how many units a group keeps the gradient of an array that it decides on; None for all.

    That is of parameters, and of feedback in the place of a weight, which takes the same step.
    """
    weight = tensor if tensor.role is Role.PARAMETER else None
    node = program.by_name.get(tensor.owner)
    if node is not None and node.weight is not None and tensor.shape == node.weight.shape:
        weight = node.weight
    return None if weight is None or group.keep is None or group.keep >= weight.reads else group.keep


def masked(b: Builder, program: Program, gradients: Mapping[str, Value]) -> dict[str, Value]:
    """The gradients, those of units that no group keeps being zero.

    Which units these are is drawn once, for all that belongs to a layer. Decay and momentum go on as they do.
    """
    found = dict(gradients)
    if all(group.keep is None for group in program.groups):
        return found
    by_name = {tensor.name: tensor for tensor in program.arrays}
    for name, gradient in gradients.items():
        tensor = by_name[name]
        keep = plan(program, tensor).keep
        if keep is None:
            continue
        with b.at(tensor.owner, Phase.UPDATE):
            node = program.by_name[tensor.owner]
            like = node.weight if node.weight and node.weight.shape == tensor.shape else tensor
            mask = _ones(b, program.spec.train.seed, tensor.owner, like.reads, keep)
            if like.reads_axis:
                rows = b.broadcast_to(b.reshape(mask, (like.reads, 1)), (like.reads, like.writes))
                mask = weight_of(b, rows, like.shape, like.reads_axis, like.groups)
            else:
                mask = b.reshape(mask, (like.reads, *(1 for _ in like.shape[1:])))
            found[name] = b.named(b.mul(gradient, mask), f"{name}.gradient.kept")
    return found


def _ones(b: Builder, seed: int, owner: str, units: int, keep: int) -> Value:
    """[units]: 1 for so many of them, else 0. Of two numbers the larger one keeps what the smaller one does."""
    order = sorted(range(units), key=lambda unit: key(seed, f"{owner}.keep.{unit}"))
    kept = set(order[:keep])
    return b.table(float(unit in kept) for unit in range(units))


def clipped(
    b: Builder, clip: Clip | None, program: Program, gradients: Mapping[str, Value]
) -> dict[str, Value]:
    """The gradients within their limits.

    The global norm is that of the network's parameters, and finite wherever the precision holds the norm itself. The
    factor is applied to the pseudo-gradients of feedback matrices too, because Kolen-Pollack alignment needs both to
    take the same step.
    """
    if clip is None:
        return dict(gradients)
    own = {t.name for node in program.nodes for t in node.tensors}
    with b.at("clip", Phase.UPDATE):
        if clip.by == "value":
            return {
                name: b.named(b.clamp(g, -clip.at, clip.at), f"{name}.gradient.clipped")
                for name, g in gradients.items()
            }
        names = sorted(own & gradients.keys())
        if not names:
            return dict(gradients)
        norm = b.add(b.named(b.norm(*(gradients[name] for name in names)), "clip.norm"), NORM_EPS)
        factor = b.named(b.minimum(b.div(clip.at, norm), 1.0), "clip.factor")
        return {name: b.named(b.mul(g, factor), f"{name}.gradient.clipped") for name, g in gradients.items()}


def stepping(
    b: Builder, program: Program, rule: Rule, gradient: Value
) -> tuple[Callable[..., Updated], Value | Factors]:
    """The function of a rule that takes the step, and what it is given of the gradient: itself, or its factors.

    These if the rule can do with them, and has fewer rows than sides to go by. How many there are is known when the
    step is called; the batch of the spec decides. The step is the same.
    """
    kind, shape = kind_of("fac.updates", rule), gradient.type.shape
    product = factors(b, gradient) if len(shape) > 1 and kind.factored(rule) else None
    if product is not None:
        first, *others = (dim for dim in shape if isinstance(dim, int))
        if product.rows.times * program.spec.train.batch < min(first, prod(others)):
            return kind.factored(rule), product
    return kind.apply, gradient
