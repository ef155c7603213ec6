"""Pruning: decisions that are made for good become structure (section 3.2, mode collapse)."""

import numpy as np
from keras import ops

from tfgates.graph.decided import Decided
from tfgates.graph.rebuilding import rebuilt
from tfgates.network import gates


def prune(model, fixed):
    """Makes decisions for good: closed branches go, open ones lose their gate.

    Where the decisions hold, the smaller model equals the thresholded one. A closed branch of a sum
    goes altogether, with the sum; of a concatenation zeros are left. Of closed groups of filters
    the layers that write and read them are sliced.

    Args:
        model: functional model with `Gated` layers; it stays as it is, and shares its other layers
            with the result.
        fixed: decisions, bool by the column of the gate; the other gates stay, and so do those of
            which not every group of filters is decided.

    Returns:
        `Network`; without gates a plain `keras.Model`, images -> logits.

    Raises:
        ValueError: a column of no gate.
    """
    total = sum(layer.groups for layer in gates(model))
    if not set(fixed) <= set(range(total)):
        raise ValueError(
            f"`fixed` has columns of the {total} decisions. Received: {sorted(fixed)}."
        )
    fixed = fully_decided(model, fixed)
    made = {
        layer.name: [fixed[column] for column in indices]
        for layer, indices in columns_of(model)
        if all(column in fixed for column in indices)
    }
    return _without(model, made) if made else model


def columns_of(model):
    """Returns pairs of a `Gated` layer and the range of its columns of the decisions."""
    found, first = [], 0
    for layer in gates(model):
        found.append((layer, range(first, first + layer.groups)))
        first += layer.groups
    return found


def fully_decided(model, fixed):
    """Returns the decisions that `prune` makes: all those of a layer, or none.

    Of filters without a shortcut one group stays open, so that all of them are not closed for good.
    """
    made: dict[int, bool] = {}
    for layer, indices in columns_of(model):
        opened = {column: fixed[column] for column in indices if column in fixed}
        if len(opened) == len(indices) and (not layer.keep_one or any(opened.values())):
            made |= opened
    return made


def expected(model):
    """Moves the probabilities of stochastic depth into the model: every branch runs, scaled.

    Args:
        model: functional model; it stays as it is.

    Returns:
        A model without gates that are not learned, which equals this one under `Expected()`; the
        model itself where it has none.
    """
    layers = [layer for layer in gates(model) if not getattr(layer.gate, "learned", True)]
    if not layers:
        return model
    return _without(model, {layer.name: [True] for layer in layers}, scaled=True)


def thresholded(model, policy):
    """Returns the decisions of the gates that look at no image, bool by column.

    Args:
        model: functional model with `Gated` layers.
        policy: a deterministic one, as `Threshold(0.5)`.
    """
    found: dict[int, bool] = {}
    for layer, indices in columns_of(model):
        if not getattr(layer.gate, "data_dependent", True):
            decisions = layer.decide(layer.gate(ops.zeros((1, 1))), policy)
            decided = np.ravel(ops.convert_to_numpy(decisions)) > 0
            found |= dict(zip(indices, decided.tolist(), strict=True))
    return found


def one_sided(rates, min_rate):
    """Decides the gates that decide alike for nearly all images; an independent one always does.

    Args:
        rates: of each gate, [G], in [0, 1].
        min_rate: share of the images, in [0, 0.5], up to which the rarer decision is ignored.

    Returns:
        Their decision, bool by column of the gate.
    """
    return {
        gate: bool(rate >= 0.5)
        for gate, rate in enumerate(rates)
        if rate <= min_rate or rate >= 1 - min_rate
    }


def _without(model, made, scaled=False):
    """Returns a model without some gates: lists of bool by name of the layer."""
    return rebuilt(model, Decided(made, scaled).replace)
