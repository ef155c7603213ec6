"""Checkpoints as PyTorch writes them, without PyTorch; weights of TorchVision's ResNets by seed."""

import pickle
import struct
import zipfile
import zlib

import numpy as np

ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
STORAGES = {"<f4": "FloatStorage", "<i8": "LongStorage"}


def write_zip(path, tensors, root="archive", wrap="", beside=(), **damage):
    """Writes arrays as `torch.save` does.

    Args:
        path: of the file.
        tensors: dict of names -> contiguous arrays of float32 or int64.
        root: the folder inside the zip file.
        wrap: name under which the state dict lies in another dict.
        beside: pairs of a name and an object, or its opcodes, that lie in the other dict too.
        **damage: see `pickled`.
    """
    content = pickled(tensors, **damage)
    if wrap:
        content = b"}" + text(wrap) + content + b"s"
        for name, value in beside:
            opcodes = value if isinstance(value, bytes) else pickle.dumps(value, 2)[2:-1]
            content += text(name) + opcodes + b"s"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{root}/data.pkl", b"\x80\x02" + content + b".")
        for key, array in enumerate(tensors.values()):
            archive.writestr(f"{root}/data/{key}", array.tobytes())


def pickled(tensors, storage="", offset=0, strides=None):
    """The opcodes of a state dict.

    Args:
        tensors: see `write_zip`.
        storage: name of a storage type instead of the right one.
        offset: of every tensor.
        strides: of every tensor instead of the right ones.
    """
    items = b""
    for key, (name, array) in enumerate(tensors.items()):
        kind = storage or STORAGES[array.dtype.str]
        steps = [step // array.itemsize for step in array.strides] if strides is None else strides
        place = text("storage") + f"ctorch\n{kind}\n".encode() + text(str(key)) + text("cpu")
        items += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n("
        items += b"(" + place + _number(array.size) + b"tQ" + _number(offset)
        items += _tuple(array.shape) + _tuple(steps) + b"\x89" + ORDERED_DICT + b"tR"
    return ORDERED_DICT + b"(" + items + b"u"


def text(value):
    """The opcode of a text."""
    return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()


def _number(number):
    return pickle.BININT + struct.pack("<i", number)


def _tuple(numbers):
    return b"(" + b"".join(map(_number, numbers)) + b"t"


def resnet_weights(depth, num_classes=1000):
    """Draws the weights of TorchVision's ResNet, whose logits show every constant of a layer.

    The variances are small beside the epsilon of batch norm, and the kernels are scaled to them.

    Args:
        depth: 18 or 50.
        num_classes: number of classes.

    Returns:
        dict of names -> float32 arrays, and int64 for what batch norm counts.
    """
    counts, bottleneck = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}[depth]
    tensors = {}
    _conv_norm(tensors, "conv1", "bn1", (64, 3, 7, 7))
    channels = 64
    for stage, count in enumerate(counts):
        width = 64 * 2**stage
        outputs = 4 * width if bottleneck else width
        for index in range(count):
            place = f"layer{stage + 1}.{index}."
            shapes = [(width, channels, 3, 3), (width, width, 3, 3)]
            if bottleneck:
                shapes = [(width, channels, 1, 1), shapes[1], (outputs, width, 1, 1)]
            for number, shape in enumerate(shapes, start=1):
                _conv_norm(tensors, f"{place}conv{number}", f"{place}bn{number}", shape)
            tensors[f"{place}bn{len(shapes)}.weight"] *= 0.4
            if index == 0 and channels != outputs:
                down = f"{place}downsample."
                _conv_norm(tensors, down + "0", down + "1", (outputs, channels, 1, 1))
            channels = outputs
    rng = _rng("fc")
    tensors["fc.weight"] = rng.standard_normal((num_classes, channels), "float32")
    tensors["fc.weight"] /= np.float32(channels**0.5)
    tensors["fc.bias"] = rng.standard_normal(num_classes, "float32")
    return tensors


def images(size):
    """Draws two images, float32 [2, size, size, 3]."""
    return _rng(f"images {size}").standard_normal((2, size, size, 3), "float32")


def _conv_norm(tensors, conv, norm, shape):
    rng = _rng(conv)
    variance = (10 ** rng.uniform(-6, -2, shape[0])).astype("float32")
    scale = np.sqrt(2 * variance / np.prod(shape[1:]))
    kernel = rng.standard_normal(shape, "float32") * scale[:, None, None, None]
    tensors[f"{conv}.weight"] = kernel.astype("float32")
    tensors[f"{norm}.weight"] = rng.uniform(0.5, 1.5, shape[0]).astype("float32")
    tensors[f"{norm}.bias"] = rng.normal(0, 0.3, shape[0]).astype("float32")
    means = rng.normal(0, 0.3, shape[0]) * np.sqrt(variance)
    tensors[f"{norm}.running_mean"] = means.astype("float32")
    tensors[f"{norm}.running_var"] = variance
    tensors[f"{norm}.num_batches_tracked"] = np.array(7, "int64")


def _rng(name):
    return np.random.default_rng(zlib.crc32(name.encode()))
