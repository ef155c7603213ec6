"""The reader of PyTorch checkpoints: files of PyTorch itself, and every file that is refused."""

import argparse
import collections
import pathlib
import pickle
import tarfile
import zipfile

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch_files
from torch_files import write_zip

from tfgates.base.errors import UserError
from tfgates.networks.torch_file import read_tensors

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
NUMBERS = np.arange(24.0).reshape(2, 3, 4)
# What tests/networks/fixtures/make_torchvision_fixture.py saved.
EXPECTED = {
    "float64": NUMBERS,
    "float32": NUMBERS.astype("float32"),
    "float16": NUMBERS.astype("float16"),
    "bfloat16": NUMBERS.astype(ml_dtypes.bfloat16),
    "int64": NUMBERS.astype("int64"),
    "parameter": NUMBERS.astype("float32") / np.float32(7),
    "transposed": NUMBERS.transpose(2, 0, 1).astype("float32"),
    "shared": NUMBERS[1, :, 1::2].astype("float32"),
    "expanded": np.full((3, 2), 2, "float32"),
    "scalar": np.array(7),
    "empty": np.zeros((0, 3), "float32"),
}
SMALL = {"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.array(5)}


@pytest.mark.parametrize("name", ["tensors", "wrapped"])
def test_files_of_torch_save(name):
    tensors = read_tensors(FIXTURES / f"{name}.pth")
    assert list(tensors) == list(EXPECTED)
    for key, expected in EXPECTED.items():
        assert tensors[key].dtype == expected.dtype, key
        np.testing.assert_array_equal(tensors[key], expected, key)


def test_safetensors_hold_the_same(tmp_path):
    arrays = {name: np.ascontiguousarray(array) for name, array in EXPECTED.items()}
    safetensors.numpy.save_file(arrays, tmp_path / "tensors.safetensors")
    tensors = read_tensors(tmp_path / "tensors.safetensors")
    assert tensors.keys() == EXPECTED.keys()
    for key, expected in EXPECTED.items():
        assert tensors[key].dtype == expected.dtype, key
        np.testing.assert_array_equal(tensors[key], expected, key)


@pytest.mark.parametrize("wrap", ["", "state_dict", "model", "model_ema", "state_dict_ema"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrapped_state_dicts(tmp_path, wrap, prefix):
    write_zip(
        tmp_path / "a.pth", {prefix + name: array for name, array in SMALL.items()}, wrap=wrap
    )
    tensors = read_tensors(tmp_path / "a.pth")
    assert list(tensors) == ["a", "b"]
    np.testing.assert_array_equal(tensors["a"], SMALL["a"])


class Meter:
    """Of a script's own, whose module is not here when the file is read."""

    def __init__(self):
        self.values, self.__dict__["list"] = [1.0], ["a"]


def test_what_a_training_script_keeps_beside_is_never_made_or_run(tmp_path):
    """TorchVision's references keep their flags, optimizer and epoch; others a good deal more."""
    ran = tmp_path / "ran"
    beside = [
        ("args", argparse.Namespace(lr=0.1, milestones=[1, 2])),
        ("best", np.float64(76.1)),
        ("seen", {1, 2}),
        ("counts", collections.Counter("abc")),
        ("meter", Meter()),
        ("path", pathlib.Path("a")),
        ("epoch", 90),
        ("code", b"cos\nmkdir\n(" + torch_files.text(str(ran)) + b"tR"),
        ("rng_state", torch_files.pickled({"mask": SMALL["a"]}, storage="ByteStorage")),
        ("model_ema", torch_files.pickled({"module.a": SMALL["b"]})),
    ]
    tensors = {f"module.{name}": array for name, array in SMALL.items()}
    write_zip(tmp_path / "a.pth", tensors, wrap="model", beside=beside)
    found = read_tensors(tmp_path / "a.pth")
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], SMALL["a"])
    assert not ran.exists()


def test_a_moving_average_counts_its_steps(tmp_path):
    tensors = {"n_averaged": SMALL["b"], "module.a": SMALL["a"]}
    write_zip(tmp_path / "a.pth", tensors, wrap="model_ema")
    assert list(read_tensors(tmp_path / "a.pth")) == ["a"]


def test_the_prefix_of_some_names_alone_stays(tmp_path):
    write_zip(tmp_path / "a.pth", {"module.a": SMALL["a"], "b": SMALL["b"]})
    assert list(read_tensors(tmp_path / "a.pth")) == ["module.a", "b"]


def with_pickle(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)


def rewritten(path, entries, compression=zipfile.ZIP_STORED):
    """The file of torch.save with other entries; None leaves one out."""
    with zipfile.ZipFile(FIXTURES / "tensors.pth") as source:
        content = {name: source.read(name) for name in source.namelist()} | entries
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)


def truncated(path):
    path.write_bytes((FIXTURES / "tensors.pth").read_bytes()[:-40])


def flipped(path):
    """One bit of the numbers of a storage."""
    data = bytearray((FIXTURES / "tensors.pth").read_bytes())
    data[data.index(NUMBERS.astype("float64").tobytes())] ^= 1
    path.write_bytes(data)


def old_tar(path):
    with tarfile.open(path, "w") as archive:
        archive.add(FIXTURES / "legacy.pth", "storages")


def copied_legacy(path):
    path.write_bytes((FIXTURES / "legacy.pth").read_bytes())


BAD = {
    "missing": (lambda path: None, "is a file"),
    "text": (lambda path: path.write_text("weights"), "no whole zip file"),
    "empty": (lambda path: path.write_bytes(b""), "no whole zip file"),
    "truncated": (truncated, "no whole zip file"),
    "flipped": (flipped, "CRC"),
    "legacy": (copied_legacy, "before 1.6.*torch.save"),
    "tar": (old_tar, "before 1.6.*torch.save"),
    "no pickle": (lambda path: zipfile.ZipFile(path, "w").close(), "0 data.pkl"),
    "big endian": (lambda path: rewritten(path, {"tensors/byteorder": b"big"}), "b'big' endian"),
    "compressed": (lambda path: rewritten(path, {}, zipfile.ZIP_DEFLATED), "compressed"),
    "no storage": (lambda path: rewritten(path, {"tensors/data/1": None}), "lacks.*data/1"),
    "short storage": (
        lambda path: rewritten(path, {"tensors/data/1": b"1234"}),
        r"float32.*\(2, 3, 4\).*fit into the 1 numbers",
    ),
    "half a pickle": (lambda path: with_pickle(path, b"\x80\x02}X"), "cannot be read"),
    "a list": (lambda path: with_pickle(path, pickle.dumps([])), "holds a list"),
    "no tensor": (lambda path: with_pickle(path, pickle.dumps({"lr": 1})), "int under 'lr'"),
    "code": (
        lambda path: with_pickle(path, b"cos\nsystem\n(X\x02\x00\x00\x00lstR."),
        r"os\.system",
    ),
    "builtins": (lambda path: with_pickle(path, b"c__builtin__\neval\n."), r"__builtin__\.eval"),
    "other torch": (lambda path: with_pickle(path, b"ctorch\nload\n."), r"torch\.load"),
    "dtype": (lambda path: write_zip(path, SMALL, storage="BoolStorage"), "BoolStorage"),
    "wide dtype": (lambda path: write_zip(path, SMALL, storage="DoubleStorage"), "do not fit"),
    "offset": (lambda path: write_zip(path, SMALL, offset=1), "a the size.*do not fit"),
    "negative offset": (lambda path: write_zip(path, SMALL, offset=-1), "do not fit"),
    "strides": (lambda path: write_zip(path, SMALL, strides=[4, 1]), "strides.*do not fit"),
    "negative strides": (lambda path: write_zip(path, SMALL, strides=[-1, 1]), "do not fit"),
    "few strides": (lambda path: write_zip(path, SMALL, strides=[1]), "do not fit"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line_that_names_them(tmp_path, name):
    write, message = BAD[name]
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(UserError, match=message) as caught:
        read_tensors(path)
    assert "weights.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_safetensors_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\xff" * 20)
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be read"):
        read_tensors(path)


def test_a_damaged_pickle_is_read_or_refused_and_never_fails_otherwise(tmp_path):
    with zipfile.ZipFile(FIXTURES / "tensors.pth") as source:
        whole = source.read("tensors/data.pkl")
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=2):
            damaged[place] = rng.integers(256)
        rewritten(tmp_path / "a.pth", {"tensors/data.pkl": bytes(damaged)})
        try:
            for array in read_tensors(tmp_path / "a.pth").values():
                if array.size < 1000:
                    array.sum()
        except UserError:
            refused += 1
    assert refused > 100
