"""What can be gated in a functional model, and why the rest cannot."""

import keras
import pytest
from keras import layers as L
from keras import ops
from own_models import OWN, dense, residual_cnn, reused

import tfgates
from tfgates.graph.branches import branches, paths

# By model: its branches, their multiply-adds, and whether what leads around is the identity.
FOUND = {
    "residual_cnn": {"down": (4 * 4 * 9 * (8 + 16) * 16, 0), "branch_01": (4 * 4 * 9 * 16 * 16, 1)},
    # Sizes that are not known count as 1.
    "any_size": {"one": (9 * 8 * 8, 1)},
    "nested": {"inner": (8 * 8 * 9 * 8 * 8, 1), "second": (8 * 8 * 2 * 8 * 16, 1)},
    "reused": {"own_add_branch": (8 * 8 * 9 * 8 * 8, 1)},
    "custom": {"own": (8 * 8 * 8 * 8, 1)},
    "table": {f"layer_{index}": (2 * 16 * 32, 1) for index in range(3)},
    "transformer": {
        f"{kind}_{index}": (macs, 1)
        for index in range(2)
        # Query, key, value, output; both products.
        for kind, macs in (
            ("attended", 6 * 4 * 16 * 16 + 2 * 2 * 6 * 6 * 8),
            ("mlp", 6 * 2 * 16 * 32),
        )
    },
    "dense": {f"layer_{index}": (8 * 8 * 9 * (8 + 4 * index) * 4, 1) for index in range(3)},
}


@pytest.mark.parametrize("name", OWN)
def test_branches_of_small_models(name):
    found = branches(OWN[name]())
    assert {one.name: (one.macs, one.identity) for one in found} == FOUND[name]
    # Another model in the same process, whose layers Keras names otherwise.
    assert [one.name for one in branches(OWN[name]())] == [one.name for one in found]


def test_shares_are_of_the_whole_model():
    model = dense()
    total = tfgates.count(model).ungated
    for branch in branches(model):
        assert branch.share == branch.macs / total


def test_a_branch_is_a_path_in_order():
    down, second = branches(residual_cnn())
    kinds = [type(node.operation).__name__ for node in down.nodes]
    assert kinds == ["Conv2D", "ReLU", "Conv2D", "BatchNormalization"]
    assert down.nodes[0].input_tensors == [down.start]
    assert down.nodes[-1].outputs == [down.end]
    assert second.nodes[0].operation.name == "same_conv"


def wide(name):
    return L.Dense(8, name=name)


def of_three(x):
    return L.Add(name="join")([x, wide("a")(x), wide("b")(x)])


def two_streams(x):
    a, b = wide("a")(x), wide("b")(x)
    join = L.Add(name="join")([wide("c")(a), wide("d")(b)])
    return L.Concatenate(name="all")([join, a, b])


def siblings(x):
    return L.Concatenate(name="join")([wide("a")(x), wide("b")(x)])


def read_elsewhere(x):
    y = wide("a")(x)
    return L.Multiply(name="product")([L.Add(name="join")([x, y]), y])


def half_of_it_read_elsewhere(x):
    one, other = ops.split(L.Dense(16, name="a")(x), 2, axis=-1)
    return L.Multiply(name="product")([L.Add(name="join")([x, one]), other])


def without_products(x):
    return L.Add(name="join")([x, L.ReLU()(x)])


def broadcast(x):
    return L.Add(name="join")([x, L.Dense(1, name="a")(x)])


def doubled(x):
    return L.Add(name="join")([x, x])


REFUSED = {
    of_three: "it joins 3 tensors, not two",
    two_streams: "nothing leads around a side of it",
    siblings: "no part of it is made of the other one alone",
    read_elsewhere: "what it joins is read elsewhere too",
    half_of_it_read_elsewhere: "what it joins is read elsewhere too",
    without_products: "its sides have no multiply-adds",
    broadcast: "the shapes (None, 8) and (None, 1) differ",
    doubled: "what it joins is read elsewhere too",
}


def on_rows(build):
    x = keras.Input((8,))
    return keras.Model(x, build(wide("first")(x)), name="rows")


@pytest.mark.parametrize("build", REFUSED, ids=lambda build: build.__name__)
def test_each_other_sum_has_its_reason(build):
    found = branches(on_rows(build))
    assert not found
    assert found.refused["join"] == REFUSED[build]
    with pytest.raises(ValueError, match=r"rows has no branch to gate: .*join: "):
        tfgates.gate(on_rows(build))


def test_a_layer_with_weights_that_is_used_twice_belongs_to_no_branch():
    why = "what it joins is read elsewhere too; the layer shared is used elsewhere too"
    assert branches(reused()).refused == {"first_add": why, "second_add": why}


def test_words_and_their_places_are_no_branches_of_each_other():
    words = keras.Input((6,), dtype="int32")
    places = ops.cumsum(ops.ones_like(words), axis=1) - 1
    x = L.Add(name="embedded")([L.Embedding(9, 8)(words), L.Embedding(6, 8)(places)])
    x = L.Add(name="mlp_add")([x, wide("mlp")(x)])
    found = branches(keras.Model(words, x))
    assert [one.name for one in found] == ["mlp_add_branch"]
    assert found.refused == {"embedded": "its sides have no multiply-adds"}


def test_an_unread_output_leads_nowhere():
    def build(x):
        used, _ = ops.split(L.Dense(16, name="a")(x), 2, axis=-1)
        return L.Add(name="join")([x, used])

    (branch,) = branches(on_rows(build))
    assert branch.macs == 8 * 16


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (lambda: L.SeparableConv2D(8, 3, padding="same"), "branch_00"),
        (lambda: L.Conv2D(8, 3, padding="same", name="own"), "branch_00"),
        (lambda: keras.Sequential([L.DepthwiseConv2D(1), L.DepthwiseConv2D(1)]), "branch_00"),
        (
            lambda: keras.Sequential([L.Conv2D(4, 1, name="a_1"), L.Conv2D(8, 1, name="a_2")]),
            "a",
        ),
    ],
)
def test_names_that_keras_gives_are_not_those_of_branches(layer, name):
    for _ in range(2):
        x = images = keras.Input((4, 4, 8))
        (branch,) = branches(keras.Model(images, x + layer()(x)))
        assert branch.name == name


def test_a_name_is_the_same_where_keras_has_taken_it():
    for _ in range(2):
        x = keras.Input((8,))
        (branch,) = branches(keras.Model(x, L.Add(name="dense_add")([x, L.Dense(8)(x)])))
        assert branch.name == "dense_add_branch"


def test_nasnet():
    found = branches(keras.applications.NASNetMobile(weights=None))
    assert len(found) == 27
    assert {one.name.split("_")[0] for one in found} == {"normal", "reduction"}
    assert sum(one.share for one in found) == pytest.approx(0.196, abs=0.001)
    joins = [why for name, why in found.refused.items() if "add" in name or "concat" in name]
    assert len(joins) == len(found.refused) == 73
    assert all(found.refused.values())


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def several_inputs():
    one, other = keras.Input((8,)), keras.Input((8,))
    return keras.Model([one, other], one + other, name="pair")


def gated():
    return tfgates.gate(residual_cnn())


def around_gated():
    network = gated()
    return keras.Model(network.input, network(network.input)["logits"], name="around")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: Subclassed(name="mine"), "Subclassed 'mine' is not a functional model"),
        (lambda: keras.Sequential(name="empty"), "Sequential 'empty' is not a functional model"),
        (several_inputs, "one input and one output. Received: pair with 2 and 1"),
        (gated, "residual_cnn is gated already"),
        (around_gated, "around is gated already"),
    ],
)
def test_models_that_cannot_be_gated(model, why):
    for function in (branches, tfgates.gate):
        with pytest.raises(ValueError, match=why) as raised:
            function(model())
        assert "\n" not in str(raised.value)


def test_without_a_sum_there_is_nothing_to_gate():
    model = keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=10)
    with pytest.raises(ValueError, match="vgg16 has no branch to gate: it has no sum"):
        tfgates.gate(model)


def test_the_table():
    def build(x):
        x = L.Add(name="wide_add")([x, wide("b")(L.Dense(16, name="a")(x))])
        x = L.Add(name="narrow_add")([x, wide("c")(x)])
        return L.Add(name="free")([x, L.ReLU()(x)])

    assert str(branches(on_rows(build))).splitlines() == [
        "wide                256   66.7 %",
        "narrow               64   16.7 %",
        "2 branches, 83.3 % of the multiply-adds",
        "free    none: its sides have no multiply-adds",
    ]


@pytest.mark.parametrize("gated", ["branches", "output_filters", "inner_filters"])
def test_the_paths_of_a_gated_model_are_those_of_the_plain_one(gated):
    plain = residual_cnn()
    network = tfgates.gate(plain, "independent", "down", gated=gated, groups=2)
    found, expected = paths(network), branches(plain)
    assert [one.macs for one in found] == [one.macs for one in expected]
    assert [one.identity for one in found] == [False, True]
