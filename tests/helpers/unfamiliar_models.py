"""Models that nobody had in mind: each once broke something that looks at a functional model."""

import keras
from keras import layers as L
from keras import ops

CLASSES = 5


def residual(x, *branch):
    y = x
    for layer in branch:
        y = layer(y)
    return L.Add()([x, y])


def conv(width=8, size=3, **options):
    return L.Conv2D(width, size, **{"padding": "same", **options})


def of_images(body, batch_size=None):
    """Returns a function that builds a classifier of images with such a body, of that name."""

    def build():
        images = keras.Input((8, 8, 3), batch_size=batch_size)
        x = L.GlobalAveragePooling2D()(body(conv()(images)))
        return keras.Model(images, L.Dense(CLASSES)(x), name=body.__name__)

    build.__name__ = body.__name__
    return build


def of_words(body):
    """Returns a function that builds a classifier of words, 0 of which are padding."""

    def build():
        words = keras.Input((6,), dtype="int32")
        x = L.GlobalAveragePooling1D()(body(L.Embedding(9, 8, mask_zero=True)(words)))
        return keras.Model(words, L.Dense(CLASSES)(x), name=body.__name__)

    build.__name__ = body.__name__
    return build


@of_images
def augmented(x):
    """What is random in training is at rest elsewhere, even where the call asks for it."""
    x = L.RandomRotation(0.2)(L.RandomFlip()(x))
    x = residual(x, L.RandomTranslation(0.2, 0.2), L.GaussianNoise(0.5), conv())
    y = L.BatchNormalization()(conv()(L.SpatialDropout2D(0.5)(x, training=True)), training=True)
    return L.Add()([x, L.RandomContrast(0.5, value_range=(-1, 1))(y)])


def namesake(name, call, shape=lambda shape: shape):
    """Returns a layer of a class of one's own that is called as one of Keras's."""
    methods = {
        "call": lambda self, inputs: call(inputs),
        "compute_output_shape": lambda self, input_shape: shape(input_shape),
    }
    kind = type(name, (L.Layer,), {"__module__": __name__, **methods})
    return keras.saving.register_keras_serializable(package="namesakes")(kind)()


def namesakes():
    images = keras.Input((8, 8, 3))
    x = conv()(images)
    scaled_sum = namesake("Add", lambda both: both[0] * ops.tanh(both[1]), lambda shape: shape[0])
    x = scaled_sum([x, conv()(x)])
    x = residual(
        x,
        conv(),
        namesake("Identity", lambda x: 2 * x),
        namesake("Matmul", lambda x: x + 1),
        namesake("Dot", ops.sin),
    )
    x = namesake("Dense", ops.cos)(L.GlobalAveragePooling2D()(x))
    return keras.Model(images, namesake("Softmax", ops.square)(L.Dense(CLASSES)(x)))


def made_of(kind, change):
    """Returns a class made of one of Keras that does more."""

    def call(self, inputs, **options):
        return change(kind.call(self, inputs, **options))

    own = type(f"Own{kind.__name__}", (kind,), {"__module__": __name__, "call": call})
    return keras.saving.register_keras_serializable(package="own")(own)


@of_images
def made_of_keras(x):
    shifted, doubled = (lambda x: x - 0.5), (lambda x: 2 * x)
    relu = made_of(L.ReLU, shifted)()
    norms = [made_of(L.BatchNormalization, doubled)() for _ in range(2)]
    x = L.ReLU()(relu(norms[0](made_of(L.Conv2D, doubled)(8, 3, padding="same")(x))))
    zeros = made_of(L.ZeroPadding2D, shifted)()
    x = L.ReLU()(residual(relu(x), zeros, conv(padding="valid"), norms[1]))
    x = made_of(L.Add, doubled)()([x, conv()(x)])
    return L.ReLU()(residual(made_of(L.MaxPooling2D, shifted)()(x), conv()))


@of_images
def equal_names(x):
    """Two models inside, one of them called twice, with layers and operations of equal names."""

    def inner(size):
        start = keras.Input((8, 8, 8))
        y = L.BatchNormalization(name="norm")(conv(size=size, name="conv")(start))
        model = keras.Model(start, ops.relu(ops.concatenate(ops.split(start + y, 2, -1), -1)))
        for operation in model.operations:
            if not isinstance(operation, L.Layer):
                operation.name = type(operation).__name__
        return model

    twice = inner(3)
    return twice(residual(inner(1)(twice(x)), conv(name="norm")))


def named_output():
    images = keras.Input((8, 8, 3), name="pixels")
    x = L.GlobalAveragePooling2D()(residual(conv()(images), conv()))
    return keras.Model({"pixels": images}, {"label": L.Dense(CLASSES, activation="softmax")(x)})


def sequential():
    start = keras.Input((8, 8, 8))
    inner = keras.Model(start, residual(start, conv(), L.BatchNormalization()))
    ends = L.GlobalAveragePooling2D(), L.Dense(CLASSES)
    return keras.Sequential([keras.Input((8, 8, 3)), conv(), inner, *ends])


@of_images
def parts_unread(x):
    _, x, _ = ops.split(L.BatchNormalization()(conv(12)(x)), 3, -1)
    y = ops.split(L.BatchNormalization()(conv(8)(x)), [2, 4], -1)[2]
    return L.Add()([x, y])


@of_images
def unequal_strides(x):
    x = residual(x, L.DepthwiseConv2D(3, (1, 2), padding="same"), L.UpSampling2D((1, 2)))
    x = residual(x, L.SeparableConv2D(8, 3, (2, 1), padding="same"), L.UpSampling2D((2, 1)))
    x = residual(x, conv(groups=8, strides=(2, 1)), L.UpSampling2D((2, 1)))
    x = residual(x, L.DepthwiseConv2D(3, dilation_rate=(1, 2), padding="same"))
    return residual(x, conv(groups=8, dilation_rate=(2, 1)))


@of_images
def other_numbers(x):
    """Products and sums of features with masks and integers."""
    x = L.Multiply()([x, x > 0]) * ops.greater(x, 0.5)
    x = residual(x, conv(), lambda x: L.Add()([x, ops.cast(x, "int32")]))
    return L.Concatenate()([x, x < 1])


@of_words
def words(x):
    """Attention that reads the sequence itself, which takes its mask away, as Keras has it."""
    for _ in range(2):
        x = L.Add()([x, L.MultiHeadAttention(2, 4)(x, x)])
        x = residual(L.LayerNormalization()(x), L.Dense(8, activation="relu"), L.Dropout(0.1))
    return x


@of_words
def normed_words(x):
    """Attention that reads another tensor, whose mask the sum keeps."""
    for _ in range(2):
        y = L.LayerNormalization()(x)
        x = L.Add()([x, L.MultiHeadAttention(2, 4)(y, y)])
        x = residual(x, L.Dense(8), L.BatchNormalization())
    return L.Concatenate()([x, L.Dense(8)(x)])


@of_words
def words_that_forget(x):
    """A convolution knows no mask, and so its sum has none."""
    return residual(residual(x, L.Conv1D(8, 3, padding="same")), L.Dense(8))


@of_words
def added_words(x):
    """A plain `+` has no mask; `Masking` makes one of numbers."""
    x = residual(x + L.Dense(8)(x), L.Dense(8))
    x = L.Masking()(x * ops.cast(ops.max(x, -1, keepdims=True) > 0, "float32"))
    return residual(x, L.Dense(8))


def other_kernels(change):
    """Returns a function that builds a model of which some kernels are not what is computed."""

    def build():
        images = keras.Input((8, 8, 3))
        x = residual(conv()(images), L.Dense(8, name="first"), L.BatchNormalization())
        x = residual(x, conv(name="second"), L.BatchNormalization(), L.Dense(8, name="third"))
        model = keras.Model(images, L.Dense(CLASSES)(L.GlobalAveragePooling2D()(x)))
        change(model)
        return model

    return build


def with_lora(model):
    for name in ("first", "second", "third"):
        layer = model.get_layer(name)
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(layer.lora_kernel_b + 0.5)


def volumes():
    start = keras.Input((4, 4, 4, 2))
    x = residual(L.Conv3D(8, 3, padding="same")(start), L.Conv3D(8, 1), L.BatchNormalization())
    return keras.Model(start, L.Dense(CLASSES)(L.GlobalAveragePooling3D()(x)))


def siamese():
    images = keras.Input((8, 8, 3))
    start = keras.Input((8, 8, 3))
    features = L.GlobalAveragePooling2D()(residual(conv()(start), conv(), L.BatchNormalization()))
    eye = keras.Model(start, features)
    left, right = eye(images), eye(ops.flip(images, 2))
    x = residual(L.Dense(8)(L.Concatenate()([left, right, ops.abs(left - right)])), L.Dense(8))
    return keras.Model(images, L.Dense(CLASSES)(x))


one_batch_size = of_images(lambda x: residual(x, conv(), L.BatchNormalization()), batch_size=4)
BUILDERS = (augmented, namesakes, made_of_keras, equal_names, named_output, sequential)
BUILDERS += (parts_unread, unequal_strides, other_numbers, words, normed_words, words_that_forget)
MODELS = {build.__name__: build for build in (*BUILDERS, added_words, volumes, siamese)}
MODELS["one_batch_size"] = one_batch_size
MODELS["quantized"] = other_kernels(lambda model: model.quantize("int8"))
MODELS["lora"] = other_kernels(with_lora)
