"""Names of their own for operations of equal ones, which models inside of a model may have."""

import itertools

import keras

from tfgates.graph.nodes import arguments, listed, producer, repeat


def distinct(inputs, outputs):
    """Returns tensors that are made by operations of which no two have the same name.

    Of those that have, all but the first get a copy with the same weights and a number behind the
    name, because Keras refuses them in one model.

    Args:
        inputs: list of symbolic tensors.
        outputs: structure of symbolic tensors that are made of them; returned itself where the
            names are distinct.
    """
    calls = _calls(inputs, keras.tree.flatten(outputs))
    named = {node.operation.name: node.operation for node in reversed(calls)}
    copies: dict[int, keras.Operation] = {}

    def replace(node, value):
        operation = node.operation
        if named[operation.name] is operation:
            return None
        args, kwargs = arguments(node, value)
        if id(operation) in copies:
            return listed(copies[id(operation)](*args, **kwargs))
        numbered = (f"{operation.name}_{number}" for number in itertools.count(1))
        name = next(name for name in numbered if name not in named)
        copy = type(operation).from_config({**operation.get_config(), "name": name})
        copies[id(operation)] = named[name] = copy
        made = listed(copy(*args, **kwargs))
        if isinstance(operation, keras.Layer):
            copy.set_weights(operation.get_weights())
        return made

    if all(named[node.operation.name] is node.operation for node in calls):
        return outputs
    value = repeat(calls, {id(tensor): tensor for tensor in inputs}, replace)
    return keras.tree.map_structure(lambda tensor: value[id(tensor)], outputs)


def _calls(inputs, outputs):
    """Returns the nodes between tensors, in the order of computation."""
    entering = set(map(id, inputs))
    order, seen = [], set()
    waiting = [(tensor, False) for tensor in reversed(outputs)]
    while waiting:
        tensor, made = waiting.pop()
        node = producer(tensor)
        if made:
            order.append(node)
        elif id(tensor) not in entering and id(node) not in seen:
            seen.add(id(node))
            waiting.append((tensor, True))
            waiting += [(part, False) for part in reversed(node.input_tensors)]
    return order
