"""The checks: one generator per rule, whose docstring is its help page. CHECKS is the report order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fac.checks import (
    adapted,
    allowed,
    anchors,
    channels,
    conservation,
    constraints,
    costs,
    data,
    effects,
    entry,
    errors,
    fed,
    following,
    heads,
    idle,
    kernels,
    masks,
    matrices,
    measuring,
    moments,
    names,
    network,
    order,
    plugged,
    prealign,
    proportion,
    ranks,
    rates,
    redundant,
    routes,
    same_data,
    savings,
    settings,
    signs,
    solving,
    sources,
    stacking,
    state_dict,
    teaching,
    ties,
    training,
    twins,
    unknown,
    whole,
    zeros,
)
from fac.checks.places import copies
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.program import Program
from fac.spec.base import Model

if TYPE_CHECKING:
    from fac.backend import Backend, Compiled, Precision

Check = Callable[[Program], Iterator[Diagnostic]]

CHECKS: tuple[tuple[Rule, Check], ...] = (
    (unknown.UNKNOWN_NAME, unknown.unknown_name),
    (names.DUPLICATE_NAME, names.duplicate_name),
    (names.NAME_OF_TWO_SCOPES, names.name_of_two_scopes),
    (network.SHAPE_MISMATCH, network.shape_mismatch),
    (ties.TIE_MISFIT, ties.tie_misfit),
    (ties.FROZEN_PARAMETERS_LEARN, ties.frozen_parameters_learn),
    (state_dict.STATE_DICT_MISFIT, state_dict.state_dict_misfit),
    (adapted.ADAPTER_RANK_EXCEEDS_LAYER, adapted.adapter_rank_exceeds_layer),
    (names.RESERVED_NAME, names.reserved_name),
    (fed.WHICH_INPUT, fed.which_input),
    (fed.UNREAD_INPUT, fed.unread_input),
    (fed.NO_MASK, fed.no_mask),
    (whole.WRONG_NUMBERS, whole.wrong_numbers),
    (network.UNREAD_LAYER, network.unread_layer),
    (network.EMPTY_NETWORK, network.empty_network),
    (network.LOSS_OUTPUT_MISMATCH, network.loss_output_mismatch),
    (settings.GROUP_MATCHES_NOTHING, settings.group_matches_nothing),
    (routes.GLOB_MATCHES_NOTHING, routes.glob_matches_nothing),
    (settings.NO_WEIGHT_DECAY_FIELD, settings.no_weight_decay_field),
    (rates.SCHEDULE_NEVER_FALLS, rates.schedule_never_falls),
    (stacking.LINEAR_ON_LINEAR, stacking.linear_on_linear),
    (stacking.ACTIVATION_BEFORE_LOSS, stacking.activation_before_loss),
    (stacking.DROPOUT_ON_OUTPUT, stacking.dropout_on_output),
    (stacking.REPEATED_ACTIVATION, stacking.repeated_activation),
    (zeros.ZERO_WEIGHTS_NEVER_MOVE, zeros.zero_weights_never_move),
    (rates.WEIGHT_DECAY_ERASES, rates.weight_decay_erases),
    (rates.ADAM_BETAS_SWAPPED, rates.adam_betas_swapped),
    (data.DATA_MISFIT, data.data_misfit),
    (same_data.TESTED_ON_TRAINING_DATA, same_data.tested_on_training_data),
    (solving.UNSOLVABLE, solving.unsolvable),
    (solving.UNUSED_BY_SOLVE, solving.unused_by_solve),
    (solving.TOO_MANY_FEATURES, solving.too_many_features),
    (channels.CHANNELS_LAST, channels.channels_last),
    (channels.CHANNELS_ELSEWHERE, channels.channels_elsewhere),
    (moments.NOTHING_LEFT, moments.normalises_single_numbers),
    (matrices.RANK_EXCEEDS_SOURCE, matrices.rank_exceeds_source),
    (errors.UNREACHED_PARAMETER, errors.unreached_parameter),
    (errors.DEAD_ROUTE, errors.dead_route),
    (routes.ROUTE_WITHOUT_WEIGHT, routes.route_without_weight),
    (heads.LOSS_OF_SEVERAL, heads.loss_of_several),
    (heads.TARGETS_WITHOUT_SIGN, heads.targets_without_sign),
    (errors.ERROR_CYCLE, errors.error_cycle),
    (routes.CONFLICTING_ROUTES, routes.conflicting_routes),
    (routes.UNUSED_SUBSPACE, routes.unused_subspace),
    (matrices.MATRIX_MISFIT, matrices.matrix_misfit),
    (routes.SEVERAL_ROUTES_AT_ONE_VALUE, routes.several_routes_at_one_value),
    (matrices.BASIS_CANNOT_LEARN, matrices.basis_cannot_learn),
    (entry.AT_NOT_ABOVE_TARGET, entry.at_not_above_target),
    (entry.AT_CROSSES_WEIGHTS, entry.at_crosses_weights),
    (idle.SETTING_WITHOUT_EFFECT, effects.setting_without_effect),
    (signs.FEEDBACK_TURNED_ROUND, signs.feedback_turned_round),
    (following.FEEDBACK_FOLLOWS_FROZEN_WEIGHT, following.feedback_follows_frozen_weight),
    (ranks.RANK_BELOW_CLASSES, ranks.rank_below_classes),
    (twins.KOLEN_POLLACK_WITHOUT_DECAY, twins.kolen_pollack_without_decay),
    (twins.UNEQUAL_TWIN_STEPS, twins.unequal_twin_steps),
    (zeros.ZERO_FEEDBACK, zeros.zero_feedback),
    (teaching.LEARNING_OVERWRITTEN, teaching.learning_overwritten),
    (teaching.UNTAUGHT_MATRIX, teaching.untaught_matrix),
    (teaching.NO_LOSS_TO_LEARN_FROM, teaching.no_loss_to_learn_from),
    (redundant.DUPLICATE_ROUTE, redundant.duplicate_route),
    (redundant.RULE_WITHOUT_ROUTES, redundant.rule_without_routes),
    (prealign.PREALIGN_LEAVES_OUT, prealign.prealign_leaves_out),
    (entry.AMBIGUOUS_SITE, entry.ambiguous_site),
    (teaching.NORMATIVE_STEP_TOO_LARGE, teaching.normative_step_too_large),
    (masks.MASK_LEAVES_OUT, masks.mask_leaves_out),
    (anchors.ANCHOR_WITH_MATRICES, anchors.anchor_with_matrices),
    (anchors.ANCHOR_LIKE_ALL, anchors.anchor_like_all),
    (training.NOTHING_HELD_OUT, training.nothing_held_out),
    (training.ACCUMULATE_WITH_ANCHOR, training.accumulate_with_anchor),
    (training.BATCHES_LEFT_OVER, training.batches_left_over),
    (constraints.RANK_ABOVE_LIMIT, constraints.rank_above_limit),
    (sources.SEVERAL_ERROR_SOURCES, sources.several_error_sources),
    (sources.ROUTE_SKIPS_TOO_FAR, sources.route_skips_too_far),
    (allowed.RULE_NOT_ALLOWED, allowed.rule_not_allowed),
)

OF_STEPS = frozenset(
    rule
    for module in (
        allowed,
        anchors,
        conservation,
        constraints,
        costs,
        entry,
        errors,
        following,
        matrices,
        measuring,
        prealign,
        proportion,
        ranks,
        rates,
        redundant,
        routes,
        savings,
        settings,
        signs,
        sources,
        teaching,
        training,
        twins,
        zeros,
    )
    for rule in vars(module).values()
    if isinstance(rule, Rule)
)
"""What is wrong with steps and the errors in them, of which a spec that is solved has none."""

ASKED = frozenset(
    {
        constraints.RANK_ABOVE_LIMIT,
        sources.SEVERAL_ERROR_SOURCES,
        sources.ROUTE_SKIPS_TOO_FAR,
        allowed.RULE_NOT_ALLOWED,
    }
)
"""Constraints: rules for which a network is whole that breaks them."""

BuiltCheck = Callable[[Program, plugged.Built], Iterator[Diagnostic]]

BUILDING: tuple[tuple[Rule, BuiltCheck], ...] = (
    (plugged.NO_DERIVATIVE, plugged.no_derivative),
    (plugged.PLUGIN_FAILS, plugged.plugin_fails),
)
"""Checks of what plug-ins write: they build the step if one has a part in the spec."""

CostCheck = Callable[[Program, costs.Costs], Iterator[Diagnostic]]

ESTIMATES: tuple[tuple[Rule, Check], ...] = (
    (order.LOOKS_AHEAD, order.looks_ahead),
    (proportion.ERROR_OUT_OF_PROPORTION, proportion.error_out_of_proportion),
    (savings.DIRECT_ROUTE_COSTS_MORE, savings.direct_route_costs_more),
    (savings.LOW_RANK_COSTS_MORE, savings.low_rank_costs_more),
    (conservation.CONSERVATION_VOIDED, conservation.conservation_voided),
    (measuring.PROBE_KEEPS_MUCH, measuring.probe_keeps_much),
)
"""Checks that compute with all shapes and routes, which only in a program without errors mean what they say."""

COMPILING: tuple[tuple[Rule, CostCheck], ...] = (
    (constraints.WEIGHT_TRANSPORT_FORBIDDEN, constraints.weight_transport_forbidden),
    (costs.BACKWARD_COST_ABOVE_LIMIT, costs.backward_cost_above_limit),
    (costs.PEAK_MEMORY_ABOVE_LIMIT, costs.peak_memory_above_limit),
)
"""Checks that compile the step, which a program without errors allows, or with none but broken constraints."""

BackendCheck = Callable[[Program, "Compiled", "Backend", "Precision"], Iterator[Diagnostic]]

FOR_BACKEND: tuple[tuple[Rule, BackendCheck], ...] = ((kernels.OP_WITHOUT_KERNEL, kernels.op_without_kernel),)
"""Checks of what is about to be emitted by a backend."""


def run_checks(program: Program) -> tuple[Diagnostic, ...]:
    """Every finding of every check, in the order of the spec; at one place, in the order of CHECKS."""
    if program.spec.solve is not None:
        return _solved(program)
    found = [finding for _, check in CHECKS for finding in check(program)]
    found += _of_anchors(program)
    built = plugged.Built(program, sound=not _has_errors(found))
    found += [finding for _, check in BUILDING for finding in check(program, built)]
    if not _has_errors(found):
        found += [finding for _, check in ESTIMATES for finding in check(program)]
    # What is asked of a network beyond its meaning keeps nobody from compiling it.
    if not _has_errors(finding for finding in found if finding.rule not in ASKED):
        counted = costs.Costs(program)
        found += [finding for _, check in COMPILING for finding in check(program, counted)]
    return _in_order(program, found)


def _solved(program: Program) -> tuple[Diagnostic, ...]:
    """The same of a spec whose parameters no step moves."""
    found = [finding for rule, check in CHECKS if rule not in OF_STEPS for finding in check(program)]
    if not _has_errors(found):
        found += solving.transports_weights(program)
    built = plugged.Built(program, sound=not _has_errors(found))
    found += [finding for _, check in BUILDING for finding in check(program, built)]
    return _in_order(program, found)


def _in_order(program: Program, found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    # A glob or a short-hand writes many routes in one place; what is wrong with all of them is said once.
    once = _of_first_copies(program, found)
    return tuple(sorted(once, key=lambda finding: _position(program.spec, finding.path)))


def _of_anchors(program: Program) -> Iterator[Diagnostic]:
    """What is wrong with the routing of anchors, at the place where it is written."""
    other = program.anchored
    if other is None:
        return
    for _, check in CHECKS:
        for finding in check(other):
            if finding.path[:1] == ("feedback",):
                yield replace(finding, path=(*anchors.ANCHOR, *finding.path[1:]), fix=None)


def _of_first_copies(program: Program, found: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """Each finding once; of those that speak of one place in a block that is repeated only the first of each rule.

    Its help says how many there are: the message is what findings are told apart by, whatever `times` is.
    """
    repeated = {origin for (origin, _), times in copies(program).items() if times > 1}
    alike: dict[object, list[Diagnostic]] = {}
    for finding in found:
        inside = repeated and any(finding.path[:end] in repeated for end in range(len(finding.path) + 1))
        key: object = (finding.rule, finding.path, _layer(program, finding)) if inside else finding
        alike.setdefault(key, []).append(finding)
    for key, (finding, *others) in alike.items():
        if others and key is not finding:
            more = f"{len(others):,} more like it, in other copies of the block"
            yield replace(finding, help="; ".join(filter(None, (finding.help, more))))
        else:
            yield finding


def _layer(program: Program, finding: Diagnostic) -> str:
    """Which of the layers that a block writes at one place of the text a finding speaks of, if it says so."""
    named = (program.by_name.get(name) for name in re.findall(r"`([^`]+)`", finding.message))
    here = (node for node in named if node is not None and node.origin == finding.path[: len(node.origin)])
    return next((node.name.rpartition(".")[2] for node in here), "")


def _has_errors(found: Iterable[Diagnostic]) -> bool:
    return any(finding.rule.severity is Severity.ERROR for finding in found)


def run_backend_checks(
    program: Program, compiled: Compiled, backend: Backend, precision: Precision
) -> tuple[Diagnostic, ...]:
    """What a backend cannot do with a compiled program that is already made of its ops."""
    found = (finding for _, check in FOR_BACKEND for finding in check(program, compiled, backend, precision))
    return tuple(_of_first_copies(program, found))


def _position(spec: Model, path: Path) -> tuple[int, ...]:
    """Where a path stands in the spec: the number of each field or item on the way."""
    value: object = spec
    position: list[int] = []
    for part in path:
        if isinstance(part, int) and isinstance(value, tuple):
            position.append(part)
            value = value[part]
        elif isinstance(value, Model):
            fields = [(field.alias or name, name) for name, field in type(value).model_fields.items()]
            at = next((i for i, (alias, _) in enumerate(fields) if alias == part), len(fields))
            position.append(at)
            value = getattr(value, fields[at][1]) if at < len(fields) else None
        else:
            break
    return tuple(position)
