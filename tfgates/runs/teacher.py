"""--teacher: the network whose answers a run learns beside the labels."""

import pathlib

from tfgates.base.errors import UserError
from tfgates.networks.applications import application, load_application
from tfgates.runs.folder import RunFolder
from tfgates.settings.network import KERAS, split
from tfgates.training.teacher import SELF

IMAGENET = "imagenet"


def check(settings, dataset):
    """Refuses a teacher that does not fit, before anything is built or written.

    Args:
        settings: `TrainConfig`.
        dataset: `ImageDataset` or `FolderDataset`.

    Raises:
        UserError: no such run, that of this run itself, other classes or images.
    """
    kind, _ = split(settings.teacher)
    if kind == KERAS and len(dataset.labels) != 1000:
        raise UserError(
            f"--teacher={settings.teacher} knows the 1000 classes of ImageNet. Received: "
            f"--dataset={settings.dataset} with {len(dataset.labels)}. Train that network on it, "
            "and pass run:PATH."
        )
    if kind is None or kind == KERAS:
        return
    run = _run(settings)
    if run.path.resolve() == pathlib.Path(settings.output_dir).resolve():
        raise UserError(
            f"--output_dir is another folder than that of --teacher={settings.teacher}. Received: "
            f"--output_dir={settings.output_dir}. Choose another, or --teacher=self."
        )
    run.require_model()
    _, labels, preprocessing = run.load_data()
    if tuple(labels) != tuple(dataset.labels):
        raise UserError(
            f"--teacher={settings.teacher} knows the classes {_some(labels)}. Received: "
            f"--dataset={settings.dataset} with {_some(dataset.labels)}. Name a run of the same."
        )
    if preprocessing.size != settings.image_size:
        raise UserError(
            f"--teacher={settings.teacher} takes images of {preprocessing.size} pixels. Received: "
            f"--image_size={settings.image_size}. Both see the same images: name another run."
        )


def load(settings, classes):
    """Returns what `GatedClassifier` takes for its teacher, made under the current strategy.

    Raises:
        UserError: its weights cannot be read.
    """
    kind, name = split(settings.teacher)
    if not settings.teacher:
        return None
    if kind is None:
        return SELF
    if kind == KERAS:
        size = settings.image_size
        network = application(name, classes, (size, size, 3))
        load_application(network, IMAGENET)
        return network
    return _run(settings).load_classifier().network


def _run(settings):
    path = pathlib.Path(split(settings.teacher)[1])
    if not path.is_dir():
        raise UserError(
            f"--teacher=run:PATH names the folder of a finished run. Received: {settings.teacher}, "
            "which is not a folder. Pass run:runs/NAME."
        )
    return RunFolder(path)


def _some(labels):
    return f"{', '.join(labels[:3])}{', ...' * (len(labels) > 3)}"
