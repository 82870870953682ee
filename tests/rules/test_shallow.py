"""The baseline that trains the last layer alone."""

from __future__ import annotations

import numpy as np

from tests.rules.nets import BP, SKIP, Spec, batch, dense, distance, gradients, moved, opened, spec

SHALLOW: Spec = {"rule": "shallow"}


def test_t28_hidden_parameters_are_bit_identical_after_training() -> None:
    for layers, last in ((dense(9, 8, 4), "fc3"), (SKIP, "fc3"), (dense(9, 8, 6, 4, act="tanh"), "fc4")):
        session = opened(spec(layers, SHALLOW, {"rule": "adam", "lr": 0.01, "weight_decay": 0.1}))
        before = session.state()
        for step in range(20):
            session.step(*batch(seed=step))
        parameters = {slot.name for slot in session.compiled.state if slot.parameter}
        assert moved(before, session.state()) & parameters == {f"{last}.weight", f"{last}.bias"}


def test_the_last_layer_learns_as_under_backpropagation() -> None:
    x, y = batch()
    exact, found = (gradients(opened(spec(dense(9, 8, 4), f)), x, y) for f in (BP, SHALLOW))
    assert distance({n: found[n] for n in ("fc3.weight", "fc3.bias")}, exact) == 0.0


def test_frozen_layers_cost_no_backward_product() -> None:
    """Two products are left: the gradient of the last weight, and nothing that carries an error down."""
    session = opened(spec(dense(9, 8, 4), SHALLOW))
    forward = sum(op.kind == "matmul" for op in session.compiled.forward.ops)
    step = sum(op.kind == "matmul" for op in session.compiled.step.ops)
    assert step == forward + 1


def test_a_frozen_layer_of_the_spec_stays_while_errors_pass_through_it() -> None:
    layers = tuple(
        layer | {"trainable": False} if layer.get("name") == "fc2" else layer for layer in dense(9, 8, 4)
    )
    session = opened(spec(layers))
    before, free = session.state(), opened(spec(dense(9, 8, 4)))
    x, y = batch()
    np.testing.assert_array_equal(gradients(session, x, y)["fc1.weight"], gradients(free, x, y)["fc1.weight"])
    session.step(x, y)
    assert moved(before, session.state()) == {f"fc{i}.{part}" for i in (1, 3) for part in ("weight", "bias")}
