"""Two logical CPU devices for every test, so that replicas are real; fresh Keras state; a run."""

import gc
import shutil

import keras
import pytest
import tensorflow as tf
from examples import ROOT, real_images, run_script, store_set
from once import made_once

from tfgates.data import datasets
from tfgates.runs.folder import RunFolder

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


# Those of more than half a minute, the longest first: one process waits for what begins last.
LONGEST = (
    *("house/code_blocks", "runs/prune_tool", "training/checkpoint", "training/multiworker"),
    *("training/train", "training/classifier", "training/target", "inference/budget"),
    *("export/export_tool", "training/resume", "graph/more_applications", "runs/network_flag"),
    *("training/rates", "data/folder", "training/recipe", "runs/sweep", "graph/applications"),
    *("runs/tools", "method/groups", "export/fused"),
)


def pytest_collection_modifyitems(items):
    """Begins with the longest files; within one the order stays."""
    order = {ROOT / f"tests/{name}_test.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_collection_finish():
    # What was imported is no garbage, and need not be looked at again.
    gc.freeze()


@pytest.fixture(autouse=True)
def fresh_keras():
    """Each test starts from the same seed and the default precision."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    # Python collects the garbage when there is enough of it; after each test it takes too long.
    keras.backend.clear_session(free_memory=False)


@pytest.fixture(scope="session")
def mirrored():
    """A strategy with two replicas on the CPU."""
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


@pytest.fixture(scope="session")
def shipped():
    """The data set that ships with tfgates."""
    return datasets.open_dataset("fashion_mnist_13k")


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """Folder of my_set, 200 images for training, 91 for validation, 10 for the test."""

    def store(folder):
        folder.mkdir()
        encoded, labels = real_images(301)
        # Two replicas do not divide 91 images: an evaluation batch has a filler.
        bounds = {"train": (0, 200), "validation": (200, 291), "test": (291, 301)}
        store_set(folder, {name: (encoded[a:b], labels[a:b]) for name, (a, b) in bounds.items()})

    return made_once(tmp_path_factory, "data", store)


@pytest.fixture(scope="session")
def training(small_set):
    """Function (run folder, *flags) -> arguments of Python that train on the small set."""

    def arguments(folder, *flags):
        return [
            "train.py",
            "--dataset=my_set",
            f"--data_dir={small_set}",
            f"--output_dir={folder}",
            "--network=cifar_resnet8",
            "--batch_size=32",
            "--steps_per_epoch=3",
            "--learning_rate=0.05",
            "--decay_epochs=2",
            *flags,
        ]

    return arguments


@pytest.fixture(scope="session")
def whole_run(training, tmp_path_factory):
    """A run of three epochs that nothing interrupted, and what it printed; tests leave it so."""

    def train(folder):
        finished = run_script(*training(folder / "whole", "--epochs=3"))
        assert finished.returncode == 0, finished.stderr
        (folder / "stdout").write_text(finished.stdout)

    folder = made_once(tmp_path_factory, "runs", train)
    return RunFolder(folder / "whole"), (folder / "stdout").read_text()


@pytest.fixture
def copied_run(whole_run, tmp_path):
    """A copy of the whole run, to change."""
    shutil.copytree(whole_run[0].path, tmp_path / "run")
    return RunFolder(tmp_path / "run")
