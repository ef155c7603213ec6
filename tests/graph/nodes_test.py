"""What `graph/nodes.py` takes from Keras that is not public, and the calls that it repeats."""

import ast
import pathlib

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops
from own_models import nested

from tfgates.graph.nodes import (
    graph_of,
    hand_down,
    inputs_like,
    layers_inside,
    listed,
    mask_of,
    masked,
    nodes,
    only,
    producer,
    readers,
    reads_only_tensors,
    repeat,
    rerun,
)

SOURCES = pathlib.Path(__file__).parents[2] / "tfgates"
PRIVATE = {
    "_nodes_by_depth",
    "_keras_history",
    "_inbound_nodes",
    "_register_call_context_args",
    "_call_context_args",
    "_called",
    "_flatten_layers",
}


def rows(count=2, size=4):
    return np.random.default_rng(0).normal(size=(count, size)).astype("float32")


def twice():
    """A layer that is called twice, and a sum of both results."""
    inputs, layer = keras.Input((4,)), L.Dense(4, name="shared")
    first = layer(inputs)
    return keras.Model(inputs, layer(first) + first)


def test_private_names_of_keras_stand_in_one_file():
    used = {}
    for path in SOURCES.rglob("*.py"):
        names = {
            node.attr if isinstance(node, ast.Attribute) else node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Attribute, ast.Constant))
        }
        used[path.relative_to(SOURCES).as_posix()] = names & PRIVATE
    assert used.pop("graph/nodes.py") == PRIVATE
    assert not {path: names for path, names in used.items() if names}


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (lambda: keras.Model(*[keras.Input((4,))] * 2), "_nodes_by_depth"),
        (lambda: keras.Input((4,)), "_keras_history"),
        (L.ReLU, "_inbound_nodes"),
        (L.ReLU, "_register_call_context_args"),
        (L.ReLU, "_call_context_args"),
        (L.ReLU, "_called"),
        (L.ReLU, "_flatten_layers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_keras_has(owner, name):
    assert hasattr(owner(), name), f"Keras {keras.__version__} changed {name}: see graph/nodes.py"


def test_nodes_by_depth_are_the_calls_of_a_model():
    model = twice()
    found = nodes(model)
    assert [node.operation.name for node in found[:2]] == ["shared", "shared"]
    assert type(found[2].operation).__name__ == "Add"
    assert found[0].input_tensors == model.inputs
    assert found[1].input_tensors == found[0].outputs
    assert found[2].input_tensors == [*found[1].outputs, *found[0].outputs]
    assert found[2].outputs == model.outputs


def test_history_says_which_call_made_a_tensor():
    for node in nodes(twice()):
        assert all(producer(tensor) is node for tensor in node.outputs)


def test_a_mask_stands_beside_a_tensor():
    embedded = L.Embedding(3, 2, mask_zero=True)(np.array([[1, 0]]))
    np.testing.assert_array_equal(mask_of(embedded), [[True, False]])
    assert mask_of(masked(embedded, None)) is None


def test_arguments_are_filled_in():
    x = keras.Input((4,))
    model = keras.Model(x, ops.add(ops.multiply(x, 2.0), x2=x))
    product, total = nodes(model)
    new = {id(x): 3.0, id(product.outputs[0]): 5.0}
    assert product.arguments.fill_in(new) == ((3.0, 2.0), {})
    args, kwargs = total.arguments.fill_in(new)
    assert [*args, *kwargs.values()] == [5.0, 3.0]
    assert (reads_only_tensors(product), reads_only_tensors(total)) == (False, True)


@keras.saving.register_keras_serializable(package="tests")
class Mood(L.Layer):
    """Adds what it is told, which a model around it need not know."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        hand_down(self, "mood")

    def call(self, inputs, mood=None):
        return inputs if mood is None else inputs + mood


def test_context_arguments_are_handed_down():
    x = keras.Input((4,))
    inner = keras.Model(x, Mood()(x))
    outer = keras.Model(x, inner(x))
    np.testing.assert_array_equal(outer(rows(), mood=2.0), rows())
    # Both were called, which Keras has no public way for.
    hand_down(inner, "mood")
    np.testing.assert_array_equal(outer(rows(), mood=2.0), rows() + 2)
    np.testing.assert_array_equal(outer(rows()), rows())


def test_layers_inside_are_those_of_layers_too():
    gate = L.TimeDistributed(L.Dense(3, name="deep"))
    x = keras.Input((2, 4))
    outer = keras.Model(x, keras.Model(x, gate(x))(x))
    assert "deep" in {layer.name for layer in layers_inside(outer)}


def test_graph_of_functional_models_alone():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    sequential = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    assert graph_of(twice()) is not None
    assert [node.operation for node in nodes(graph_of(sequential))] == sequential.layers
    unbuilt = keras.Sequential([L.Dense(3)])
    assert [graph_of(one) for one in (Own(), L.Dense(3), unbuilt)] == [None] * 3


def test_readers_are_by_tensor_and_the_output_has_none():
    model = twice()
    first, second, total = nodes(model)
    reading = readers(model)
    assert reading[id(first.outputs[0])] == [second, total]
    assert reading[id(model.outputs[0])] == [None]


def test_rerun_inlines_models_inside():
    model = nested()
    inputs = inputs_like(model)
    again = keras.Model(only(inputs), rerun(model, inputs)[id(model.outputs[0])])
    assert not [node for node in nodes(again) if graph_of(node.operation)]
    assert {layer.name for layer in again.layers} >= {"inner_add", "second_add"}
    assert {id(one) for one in again.weights} == {id(one) for one in model.weights}
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(again(images), model(images))


def test_rerun_takes_inputs_of_inner_models_by_keyword_and_with_flags():
    x = keras.Input((4,))
    inner = keras.Model(x, L.Dense(4)(x))
    model = keras.Model(x, inner(inputs=x, training=False))
    inputs = inputs_like(model)
    again = keras.Model(only(inputs), rerun(model, inputs)[id(model.outputs[0])])
    np.testing.assert_array_equal(again(rows()), model(rows()))


def test_inputs_keep_name_shape_and_type():
    model = keras.Model(*[keras.Input((4,), dtype="int32", name="words")] * 2)
    (again,) = inputs_like(model)
    assert (again.name, again.shape, again.dtype) == ("words", (None, 4), "int32")
    (longer,) = inputs_like(model, [(2, 9)])
    assert (longer.name, longer.shape, longer.dtype) == ("words", (2, 9), "int32")


def test_a_layer_called_twice_keeps_its_calls_apart():
    model = twice()
    inputs = inputs_like(model)
    again = keras.Model(only(inputs), rerun(model, inputs)[id(model.outputs[0])])
    np.testing.assert_array_equal(again(rows()), model(rows()))
    # From the tensor that the layer itself has made on.
    first, second, total = nodes(model)
    start = keras.Input((4,))
    value = repeat([second, total], {id(first.outputs[0]): start})
    rest = keras.Model(start, value[id(model.outputs[0])])
    np.testing.assert_array_equal(rest(first.operation(rows())), model(rows()))


def test_replaced_calls_are_not_made():
    model, seen = twice(), []

    def replace(node, value):
        seen.append(node.operation.name)
        return [value[id(node.input_tensors[0])]] if node.operation.name == "shared" else None

    inputs = inputs_like(model)
    again = keras.Model(only(inputs), rerun(model, inputs, replace)[id(model.outputs[0])])
    np.testing.assert_array_equal(again(rows()), 2 * rows())
    assert seen[:2] == ["shared", "shared"]
    assert not again.weights


def test_what_is_there_already_is_not_made_again():
    model = twice()
    first = nodes(model)[0]
    x, given = inputs_like(model)[0], keras.Input((4,))
    value = {id(model.inputs[0]): x, id(first.outputs[0]): given}
    repeat(nodes(model), value)
    assert value[id(first.outputs[0])] is given


def test_lists_of_one():
    x = keras.Input((4,))
    assert listed(x) == [x]
    assert listed((x, x)) == [x, x]
    assert only([x]) is x
    assert only([x, x]) == [x, x]
