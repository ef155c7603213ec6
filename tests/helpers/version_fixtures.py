"""A model's folder of versions, and what a server says of them, for the tests of serving/.

PYTEST_DONT_REWRITE: there is no assertion here.
"""

import shutil

import pytest
from serving_fixtures import config, jpegs, predict
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

AVAILABLE, END = ModelVersionStatus.AVAILABLE, ModelVersionStatus.END


@pytest.fixture
def folder(tmp_path, version):
    """Function *numbers -> the model's folder, into which these versions are copied."""

    def add(*numbers):
        for number in numbers:
            shutil.copytree(version, tmp_path / f".tmp-{number}")
            (tmp_path / f".tmp-{number}").rename(tmp_path / str(number))
        return tmp_path

    return add


def one_config(folder, rest="", name="gated"):
    return f'config {{ name: "{name}" base_path: "{folder}" model_platform: "tensorflow" {rest} }}'


def configs(*texts):
    text = f"model_config_list {{ {' '.join(texts)} }}"
    return config.models(config.text_format.Parse(text, config.ModelServerConfig()))


def states(embedded, name="gated"):
    return {number: version.state for number, version in embedded.models.versions(name).items()}


def predict_of(model_spec):
    request = predict(image_bytes=jpegs(1))
    request.model_spec.CopyFrom(model_spec)
    return request


def answering(begin, model_spec):
    """Returns the number of the version that answers."""
    return begin(predict_of(model_spec)).result().model_spec.version.value
