"""The versions that are in memory, and which of them a request means."""

import contextlib
import threading

from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from tfgates_server.refused import invalid, not_found


class Models:
    """Versions by model name and number.

    Attributes:
        labels: numbers of versions by model name and label.
        report: function of a `Version`, called where its state has changed.
    """

    def __init__(self):
        self.labels = {}
        self.report = lambda version: None
        self._versions = {}
        # Guards the versions, their states and the numbers of their users.
        self._changed = threading.Condition()

    def add(self, version):
        """Takes a `Version` in, in place of an earlier one of its number."""
        with self._changed:
            self._versions.setdefault(version.name, {})[version.number] = version

    def remove(self, version):
        """Forgets a `Version`, which has ended."""
        with self._changed:
            del self._versions[version.name][version.number]

    def change(self, version, state, model=None, error=""):
        """Moves a `Version` to another state."""
        with self._changed:
            version.state, version.model, version.error = state, model, error
        self.report(version)

    def drain(self, version):
        """Gives a version to no further request, and waits for those that are using it."""
        self.change(version, ModelVersionStatus.UNLOADING, version.model)
        with self._changed:
            self._changed.wait_for(lambda: version.users == 0)

    def versions(self, name):
        """Returns the `Version`s of a model by number, at this moment."""
        with self._changed:
            return dict(self._versions.get(name, {}))

    def names(self):
        """Returns the names of the models, with or without a version that is available."""
        with self._changed:
            return list(self._versions)

    def available(self, name):
        """Returns the numbers of the available versions of a model, sorted."""
        return sorted(
            number for number, version in self.versions(name).items() if version.available
        )

    def close(self):
        """Ends all models; what they still run is cancelled."""
        with self._changed:
            versions = [one for many in self._versions.values() for one in many.values()]
        for version in versions:
            if version.model:
                version.model.close()

    @contextlib.contextmanager
    def use(self, spec):
        """Gives the `Model` that a `ModelSpec` means; it stays loaded while the block runs.

        Raises:
            Refused: there is none.
        """
        with self._changed:
            version = self._find(spec)
            version.users += 1
        try:
            yield version.model
        finally:
            with self._changed:
                version.users -= 1
                if not version.users:
                    self._changed.notify_all()

    def statuses(self, spec):
        """Returns the `ModelVersionStatus` of each version that a `ModelSpec` means.

        Raises:
            Refused: there is none.
        """
        versions = self.versions(spec.name)
        if spec.HasField("version"):
            number = spec.version.value
            if number not in versions:
                raise not_found(f"Could not find version {number} of model {spec.name}")
            versions = {number: versions[number]}
        if not versions:
            raise not_found(f"Could not find any versions of model {spec.name}")
        return [versions[number].status() for number in sorted(versions, reverse=True)]

    def _find(self, spec):
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        available = self.available(spec.name)
        if spec.HasField("version"):
            number = spec.version.value
        elif spec.HasField("version_label"):
            number = self.labels.get(spec.name, {}).get(spec.version_label)
            if number is None:
                raise invalid(f"Unrecognized servable version label: {spec.version_label}")
        elif not available:
            raise not_found(f"Servable not found for request: Latest({spec.name})")
        else:
            number = available[-1]
        if number not in available:
            raise not_found(f"Servable not found for request: Specific({spec.name}, {number})")
        return self._versions[spec.name][number]
