"""Follows the folders of the models: new versions are loaded, old ones drained and unloaded."""

import gc
import threading
import time

from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from tfgates.base.errors import UserError
from tfgates_server.refused import failed_precondition
from tfgates_server.version import Version, find_versions, wanted


class Watcher:
    """Keeps `Models` as the folders and the configuration say.

    Args:
        models: `Models`.
        load: function (name, path) -> `Model`, warmed up; raises an error where it cannot.
        retries: how often a version that cannot be loaded is tried again.
        retry_seconds: time between two attempts.
        early_labels: whether a new label may name a version that is not available yet.
    """

    def __init__(self, models, load, retries=5, retry_seconds=60.0, early_labels=True):
        self._models = models
        self._load = load
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._early_labels = early_labels
        self._configs = {}
        self._failures = {}  # Version -> number of attempts, time of the last one.
        self._busy = threading.RLock()

    def configure(self, configs):
        """Serves these models from now on; returns when they are loaded.

        Args:
            configs: list of `ModelConfig`.

        Raises:
            Refused: a label may not be given to its version. Nothing has changed then.
            UserError: a model that is new, or in another folder, has no version there; nothing has
                changed then. Or none that can be loaded: it is tried again.
        """
        with self._busy:
            new = [config for config in configs if self._is_new(config)]
            for config in new:
                _check_versions(config)
            for config in configs:
                self._check_labels(config)
            self._configs = {config.name: config for config in configs}
            self._models.labels = {config.name: dict(config.version_labels) for config in configs}
            self.poll()
            for config in new:
                self._check_available(config)

    def poll(self):
        """Looks at the folders once, and does what they ask for."""
        with self._busy:
            for name in set(self._models.names()) - set(self._configs):
                self._unload_all_but(name, [])
            for config in self._configs.values():
                self._update(config)

    def _is_new(self, config):
        known = self._configs.get(config.name)
        return known is None or known.base_path != config.base_path

    def _update(self, config):
        try:
            paths = find_versions(config.base_path)
        except (OSError, ValueError):
            # Not there at the moment: what is loaded stays.
            return
        numbers = wanted(paths, config.model_version_policy)
        for number in numbers:
            self._load_where_due(config.name, paths[number])
        # The last version goes only when another one has come, or when all are withdrawn.
        if not numbers or set(numbers) & set(self._models.available(config.name)):
            self._unload_all_but(config.name, numbers)

    def _load_where_due(self, name, path):
        version = self._models.versions(name).get(int(path.name))
        if version in self._failures:
            attempts, last = self._failures[version]
            if attempts > self._retries or time.monotonic() < last + self._retry_seconds:
                return
        elif version is None or version.state == ModelVersionStatus.END:
            version = Version(name, path)
            self._models.add(version)
        else:
            return
        self._models.change(version, ModelVersionStatus.LOADING)
        try:
            model = self._load(name, path)
        except Exception as error:  # Whatever is wrong with it: the other versions are served.
            attempts, _ = self._failures.get(version, (0, None))
            self._failures[version] = attempts + 1, time.monotonic()
            self._models.change(version, ModelVersionStatus.END, error=" ".join(str(error).split()))
        else:
            self._failures.pop(version, None)
            self._models.change(version, ModelVersionStatus.AVAILABLE, model)

    def _unload_all_but(self, name, numbers):
        for number, version in self._models.versions(name).items():
            if number in numbers:
                continue
            if version in self._failures:
                # Should it come back, it is a new one.
                del self._failures[version]
                self._models.remove(version)
            elif version.available:
                self._models.drain(version)
                version.model.close()
                self._models.change(version, ModelVersionStatus.END)
                # A graph refers to itself.
                gc.collect()

    def _check_labels(self, config):
        available = self._models.available(config.name)
        labels = self._models.labels.get(config.name, {})
        for label, number in config.version_labels.items():
            moved = labels.get(label, number) != number
            if number not in available and (moved or not self._early_labels):
                raise failed_precondition(
                    f"Request to assign label to version {number} of model {config.name}, "
                    "which is not currently available for inference"
                )

    def _check_available(self, config):
        if self._models.available(config.name):
            return
        for version in self._models.versions(config.name).values():
            if version.error:
                raise UserError(version.error)


def _check_versions(config):
    try:
        paths = find_versions(config.base_path)
    except (OSError, ValueError):
        paths = {}
    if not wanted(paths, config.model_version_policy):
        raise UserError(
            f"{config.base_path} holds no model version, a folder named by a number, for "
            f"{config.name}. Make one with python -m tfgates.tools.export --run=runs/NAME."
        )
