"""Reads the tensors of a PyTorch checkpoint without PyTorch and without running its pickle."""

import collections
import io
import math
import pathlib
import pickle
import tarfile
import zipfile
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import safetensors.numpy

from tfgates.base.errors import UserError

DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
}
# What a PyTorch stream from before 1.6 begins with: a pickled number.
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# Under these names a training script keeps the weights beside its epoch and optimizer.
WRAPPERS = ("state_dict", "model")
SAVE_ALONE = "Save the state dict alone: torch.save(model.state_dict(), 'new.pth')"


def read_tensors(path):
    """Reads a state dict from a `.safetensors` file, or from what `torch.save` writes.

    A state dict wrapped as {"state_dict": ...} or {"model": ...} is unwrapped, and a "module."
    before every name, which data-parallel training leaves, is taken off.

    Args:
        path: of the file.

    Returns:
        dict of names -> arrays, read-only where they come from `torch.save`.

    Raises:
        UserError: the file is missing, damaged, of the format before PyTorch 1.6, or holds
            anything but tensors of float64, float32, float16, bfloat16 and int64.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"A checkpoint is a file. {path} is none. Name another.")
    if path.suffix == ".safetensors":
        try:
            tensors = safetensors.numpy.load_file(path)
        except Exception as error:
            raise _bad(path, f"cannot be read as safetensors: {error}") from error
    else:
        tensors = _read_zip(path)
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): array for name, array in tensors.items()}
    return tensors


def _read_zip(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(path, archive).read()
    except UserError:
        raise
    except zipfile.BadZipFile as error:
        raise _no_zip(path, error) from error
    except Exception as error:
        # A damaged pickle may fail in any way.
        raise _bad(path, f"cannot be read: {type(error).__name__}: {error}") from error


class _Tensor(NamedTuple):
    """What the pickle says of a tensor; where its numbers lie is checked when they are read."""

    storage: Any
    offset: Any
    size: Any
    strides: Any


class _Storage(NamedTuple):
    type_name: str
    key: str


class _Archive:
    """The zip of `torch.save`: NAME/data.pkl, and the numbers of each storage in NAME/data/KEY."""

    def __init__(self, path, archive):
        self.path = path
        self.archive = archive
        self.storages = {}
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise _bad(path, f"is a zip file with {len(pickles)} data.pkl; torch.save writes one")
        self.root = pickles[0].removesuffix("data.pkl")
        # Nothing can unpack to more than the file holds.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise _bad(path, "has compressed entries; torch.save writes none")

    def read(self):
        if self._byte_order() != b"little":
            raise _bad(self.path, f"is {self._byte_order()!r} endian; only b'little' is read")
        content = _Unpickler(self.archive.read(self.root + "data.pkl"), self.path).load()
        for wrapper in WRAPPERS:
            if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
                content = content[wrapper]
        if not isinstance(content, dict):
            what = f"holds a {type(content).__name__}; a state dict is a dict"
            raise _bad(self.path, what, SAVE_ALONE)
        return {name: self._array(name, tensor) for name, tensor in content.items()}

    def _byte_order(self):
        name = self.root + "byteorder"
        return self.archive.read(name) if name in self.archive.namelist() else b"little"

    def _array(self, name, tensor):
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            kind = type(tensor).__name__
            what = f"holds a {kind} under {name!r}; a state dict holds tensors"
            raise _bad(self.path, what, SAVE_ALONE)
        offset, size, strides = tensor.offset, tensor.size, tensor.strides
        dtype = DTYPES[tensor.storage.type_name]
        numbers = self._numbers(tensor.storage.key, dtype)
        last = offset + sum((n - 1) * step for n, step in zip(size, strides, strict=False))
        inside = not math.prod(size) or last < len(numbers)
        negative = any(number < 0 for number in (offset, *size, *strides))
        if negative or not inside or len(size) != len(strides):
            raise _bad(
                self.path,
                f"gives {name} the size {size}, strides {strides} and offset {offset}, which do "
                f"not fit into the {len(numbers)} numbers of its storage",
            )
        if not math.prod(size):
            return np.zeros(size, dtype)
        return np.lib.stride_tricks.as_strided(
            numbers[offset:], size, [step * dtype.itemsize for step in strides], writeable=False
        )

    def _numbers(self, key, dtype):
        entry = f"{self.root}data/{key}"
        if entry not in self.storages:
            if entry not in self.archive.namelist():
                raise _bad(self.path, f"lacks the storage {entry}")
            self.storages[entry] = self.archive.read(entry)
        data = self.storages[entry]
        return np.frombuffer(data, dtype, len(data) // dtype.itemsize)


class _Unpickler(pickle.Unpickler):
    """Builds dicts and descriptions of tensors; any other global of the pickle is refused."""

    def __init__(self, data, path):
        super().__init__(io.BytesIO(data))
        self.path = path

    def find_class(self, module, name):
        allowed = {
            "collections.OrderedDict": collections.OrderedDict,
            "torch._utils._rebuild_tensor_v2": self._rebuild_tensor,
            "torch._utils._rebuild_parameter": self._rebuild_parameter,
        }
        if module == "torch" and name.endswith("Storage"):
            if name not in DTYPES:
                raise _bad(self.path, f"holds a {name}; read are {', '.join(DTYPES)}")
            return name
        if f"{module}.{name}" not in allowed:
            what = f"asks for {module}.{name}, which may run code; only tensors are read"
            raise _bad(self.path, what, SAVE_ALONE)
        return allowed[f"{module}.{name}"]

    def persistent_load(self, pid):
        _, type_name, key, _, _ = pid
        return _Storage(type_name, key)

    def _rebuild_tensor(self, storage, offset, size, strides, *_):
        return _Tensor(storage, offset, size, strides)

    def _rebuild_parameter(self, tensor, *_):
        return tensor


def _no_zip(path, error):
    with path.open("rb") as stream:
        legacy = stream.read(len(LEGACY_MAGIC)) == LEGACY_MAGIC or tarfile.is_tarfile(path)
    if legacy:
        return UserError(
            f"{path} has PyTorch's format from before 1.6, which is not read. Name a file of "
            "today's format, or, where you trust this one, convert it with PyTorch: "
            f"torch.save(torch.load({str(path)!r}, weights_only=False), 'new.pth')."
        )
    return _bad(path, f"is no whole zip file as torch.save writes it: {error}")


def _bad(path, what, way_out="Download it again, or save it as .safetensors"):
    return UserError(f"{path} {what}. {way_out}.")
