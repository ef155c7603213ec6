"""One version of a model on its way from the disk into the memory and out again."""

import dataclasses
import pathlib

import grpc
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from tfgates.export.publish import is_version
from tfgates_server.model import Model


@dataclasses.dataclass(eq=False)
class Version:
    """A version of a model; `Models` changes it.

    Attributes:
        name: of the model.
        path: of the version's folder, named by its number.
        state: START, LOADING, AVAILABLE, UNLOADING or END, of `ModelVersionStatus`.
        error: why it could not be loaded; "" where nothing went wrong.
        model: `Model`, while it is AVAILABLE or UNLOADING.
        users: number of requests that use the model.
    """

    name: str
    path: pathlib.Path
    state: int = ModelVersionStatus.START
    error: str = ""
    model: Model | None = None
    users: int = 0

    @property
    def number(self):
        return int(self.path.name)

    @property
    def available(self):
        return self.state == ModelVersionStatus.AVAILABLE

    def status(self):
        """Returns its `ModelVersionStatus`."""
        status = ModelVersionStatus(version=self.number, state=self.state)
        if self.error:
            status.status.error_code = grpc.StatusCode.UNKNOWN.value[0]
            status.status.error_message = self.error
        return status


def find_versions(base_path):
    """Returns the paths of the versions in a folder, by number; other names are ignored.

    Raises:
        OSError: the folder cannot be read.
        ValueError: no folder can have this name.
    """
    paths = [path for path in pathlib.Path(base_path).iterdir() if is_version(path.name)]
    paths = [path for path in paths if int(path.name) < 2**63]
    return {int(path.name): path for path in paths if path.is_dir()}


def wanted(numbers, policy):
    """Chooses the versions to serve.

    Args:
        numbers: of the versions that there are.
        policy: `FileSystemStoragePathSourceConfig.ServableVersionPolicy`; where it says nothing,
            the highest version.

    Returns:
        Sorted list of numbers.
    """
    numbers = sorted(numbers)
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return numbers
    if choice == "specific":
        return [number for number in numbers if number in policy.specific.versions]
    return numbers[-max(policy.latest.num_versions, 1) :]
