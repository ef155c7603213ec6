"""Models of one's own, small, for everything that looks at a functional model."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tfgates.network import columns, logits_and_decisions, num_gates
from tfgates.policies import Given

CLASSES = 10


def residual_cnn(size=8, classes=CLASSES):
    """Two residual blocks, one with a projection; a sum that is a layer, and one that is `+`."""
    x = images = keras.Input((size, size, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(x)))
    y = L.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
    y = L.BatchNormalization()(L.Conv2D(16, 3, padding="same")(L.ReLU()(y)))
    x = L.ReLU()(L.Add(name="down_add")([L.Conv2D(16, 1, strides=2)(x), y]))
    y = L.BatchNormalization()(L.Conv2D(16, 3, padding="same", name="same_conv")(x))
    x = ops.relu(x + y)
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(images, L.Dense(classes, activation="softmax")(x), name="residual_cnn")


def any_size(classes=CLASSES):
    """Takes images of any height and width."""
    x = images = keras.Input((None, None, 3))
    x = L.ReLU()(L.Conv2D(8, 3, padding="same")(x))
    y = L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(x))
    x = L.GlobalAveragePooling2D()(L.Add(name="one_add")([x, y]))
    return keras.Model(images, L.Dense(classes)(x), name="any_size")


def nested(size=8, classes=CLASSES):
    """A head around a backbone that is a model itself, with a `Sequential` inside of that."""
    x = images = keras.Input((size, size, 8))
    branch = keras.Sequential(
        [L.Conv2D(8, 3, padding="same"), L.BatchNormalization()], name="branch"
    )
    x = L.Add(name="inner_add")([x, branch(x)])
    y = L.Dense(8)(L.ReLU()(L.Dense(16)(x)))
    backbone = keras.Model(images, L.Add(name="second_add")([x, y]), name="backbone")
    pixels = keras.Input((size, size, 3))
    x = backbone(L.Conv2D(8, 1)(pixels))
    return keras.Model(pixels, L.Dense(classes)(L.GlobalAveragePooling2D()(x)), name="nested")


def reused(size=8, classes=CLASSES):
    """One layer in two branches, one activation everywhere, one branch of its own."""
    x = images = keras.Input((size, size, 3))
    relu, shared = L.ReLU(), L.Conv2D(8, 3, padding="same", name="shared")
    x = relu(L.Conv2D(8, 1)(x))
    x = L.Add(name="first_add")([x, shared(x)])
    x = L.Add(name="second_add")([x, relu(shared(x))])
    own = L.BatchNormalization()(relu(L.Conv2D(8, 3, padding="same", name="own")(x)))
    x = L.Add(name="own_add")([x, own])
    return keras.Model(images, L.Dense(classes)(L.GlobalAveragePooling2D()(x)), name="reused")


@keras.saving.register_keras_serializable(package="tests")
class Shift(L.Layer):
    """A layer of one's own: each channel shifted, and mixed with its mirror image."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], input_shape[-1]))
        self.offset = self.add_weight(name="offset", shape=(input_shape[-1],))

    def call(self, inputs):
        return ops.matmul(inputs + self.offset, self.kernel)

    def compute_output_shape(self, input_shape):
        return input_shape

    def multiply_adds(self, input_shape):
        return input_shape[1] * input_shape[2] * input_shape[3] ** 2


def custom(size=8, classes=CLASSES):
    """A layer of one's own in a branch."""
    x = images = keras.Input((size, size, 3))
    x = L.Conv2D(8, 3, padding="same")(x)
    y = Shift(name="shift")(L.ReLU()(x))
    x = L.Add(name="own_add")([x, y])
    return keras.Model(images, L.Dense(classes)(L.GlobalAveragePooling2D()(x)), name="custom")


def table(features=12, classes=CLASSES):
    """A residual perceptron on a table."""
    x = rows = keras.Input((features,))
    x = L.Dense(16)(x)
    for index in range(3):
        y = L.Dense(32, activation="relu")(L.LayerNormalization()(x))
        x = L.Add(name=f"layer_{index}_add")([x, L.Dense(16)(y)])
    return keras.Model(rows, L.Dense(classes)(x), name="table")


def transformer(tokens=6, width=16, classes=CLASSES):
    """A transformer encoder, of which every sub-layer is a residual sum."""
    x = sequence = keras.Input((tokens, width))
    x = L.Dense(width)(x)
    for index in range(2):
        normed = L.LayerNormalization()(x)
        attended = L.MultiHeadAttention(2, 8, name=f"attention_{index}")(normed, normed)
        x = L.Add(name=f"attended_{index}_add")([x, attended])
        y = L.Dense(32, activation="gelu")(L.LayerNormalization()(x))
        x = L.Add(name=f"mlp_{index}_add")([x, L.Dense(width)(y)])
    x = L.GlobalAveragePooling1D()(L.LayerNormalization()(x))
    return keras.Model(sequence, L.Dense(classes)(x), name="transformer")


def dense(size=8, classes=CLASSES):
    """A dense block: what a layer makes stands beside what it read."""
    x = images = keras.Input((size, size, 3))
    x = L.Conv2D(8, 3, padding="same")(x)
    for index in range(3):
        y = L.ReLU()(L.BatchNormalization()(x))
        y = L.Conv2D(4, 3, padding="same")(y)
        x = L.Concatenate(name=f"layer_{index}_concat")([x, y])
    return keras.Model(images, L.Dense(classes)(L.GlobalAveragePooling2D()(x)), name="dense")


OWN = {
    build.__name__: build
    for build in (residual_cnn, any_size, nested, reused, custom, table, transformer, dense)
}


def randomized(model, seed=0):
    """Gives a model the weights of a trained one: biases, moved batch norms, gates that differ."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        kind = weight.path.rsplit("/", 1)[-1]
        if "off_on" in weight.path:
            weight.assign(rng.normal(0, 1.5, weight.shape))
        elif kind in ("moving_mean", "beta", "bias", "offset"):
            weight.assign(rng.normal(0, 0.2, weight.shape))
        elif kind in ("moving_variance", "gamma"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def inputs_of(model, count=4, size=8, seed=1):
    """Returns normal random numbers that a model takes; `size` stands for sizes that vary."""
    shape = [size if axis is None else axis for axis in model.inputs[0].shape[1:]]
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("float32")


def some_decisions(model, count=4, seed=2):
    """Returns random decisions of its gates, bool [B, G]."""
    return np.random.default_rng(seed).random((count, num_gates(model))) < 0.5


def deciding(model, decisions):
    """Returns a policy under which the gates of a model decide so, bool [B, G]."""
    decisions = ops.convert_to_tensor(decisions, "float32")
    return Given({name: decisions[:, part] for name, part in columns(model).items()})


def answers(model, inputs, policy=None):
    """Returns the logits and the decisions of a model, NumPy arrays."""
    outputs = model(inputs, training=False, **({} if policy is None else {"policy": policy}))
    return tuple(map(np.asarray, logits_and_decisions(outputs)))


def assert_same(received, expected, tolerance=1e-5):
    """Compares answers; the logits to a part of the largest one."""
    for one in (received, expected):
        assert np.isfinite(one[0]).all()
    np.testing.assert_allclose(
        received[0], expected[0], rtol=0, atol=tolerance * np.abs(expected[0]).max()
    )
    np.testing.assert_array_equal(received[1], expected[1])


def saved_and_loaded(model, folder):
    """Returns a model that went through a `.keras` file."""
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")
