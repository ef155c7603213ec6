"""Reads the tensors of a PyTorch checkpoint without PyTorch and without running its pickle."""

import math
import pathlib
import tarfile
import zipfile

import ml_dtypes
import numpy as np
import safetensors.numpy

from tfgates.base.errors import UserError
from tfgates.networks.inert_pickle import Tensor, Unpickler

DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
}
# What a PyTorch stream from before 1.6 begins with: a pickled number.
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# Under these names a training script keeps the weights beside its epoch and optimizer; the moving
# average of them counts where there is nothing else.
WRAPPERS = ("state_dict", "model", "state_dict_ema", "model_ema")
# What such an average counts.
AVERAGED = "n_averaged"
SAVE_ALONE = "Save the state dict alone: torch.save(model.state_dict(), 'new.pth')"


def read_tensors(path):
    """Reads a state dict from a `.safetensors` file, or from what `torch.save` writes.

    A state dict wrapped as {"state_dict": ...}, {"model": ...} or {"model_ema": ...} is unwrapped,
    and a "module." before every name, which data-parallel training leaves, is taken off. What lies
    beside it, as flags and an optimizer, is passed over: nothing of it is made or run.

    Args:
        path: of the file.

    Returns:
        dict of names -> arrays, read-only where they come from `torch.save`.

    Raises:
        UserError: the file is missing, damaged, of the format before PyTorch 1.6, or its state dict
            holds anything but tensors of float64, float32, float16, bfloat16 and int64.
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
    if AVERAGED in tensors and len(tensors) > 1:
        del tensors[AVERAGED]
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
        content = Unpickler(self.archive.read(self.root + "data.pkl")).load()
        for wrapper in WRAPPERS:
            if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
                content = content[wrapper]
        if not isinstance(content, dict):
            what = f"holds a {_kind(content)}; a state dict is a dict"
            raise _bad(self.path, what, SAVE_ALONE)
        return {name: self._array(name, tensor) for name, tensor in content.items()}

    def _byte_order(self):
        name = self.root + "byteorder"
        return self.archive.read(name) if name in self.archive.namelist() else b"little"

    def _array(self, name, tensor):
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            what = f"holds a {_kind(tensor)} under {name!r}; a state dict holds tensors"
            raise _bad(self.path, what, SAVE_ALONE)
        offset, size, strides = tensor.offset, tensor.size, tensor.strides
        if tensor.storage.type_name not in DTYPES:
            what = f"holds a {tensor.storage.type_name} under {name!r}; read are"
            raise _bad(self.path, f"{what} {', '.join(DTYPES)}")
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


def _kind(value):
    return value.__name__ if isinstance(value, type) else type(value).__name__


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
