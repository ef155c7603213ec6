"""Models of one's own, small, for everything that looks at a functional model."""

import keras
from keras import layers as L
from keras import ops

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
