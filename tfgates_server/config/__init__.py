"""The text files of tensorflow_model_server: models, batching, TLS, monitoring.

The messages of config.proto are built from its compiled descriptor, which any version of protobuf
reads; ModelServerConfig is tensorflow-serving-api's own.
"""

import pathlib

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from tfgates.base.errors import UserError

_DESCRIPTORS = descriptor_pb2.FileDescriptorSet.FromString(
    pathlib.Path(__file__).with_name("config.binpb").read_bytes()
)
_POOL = descriptor_pool.DescriptorPool()
for _file in _DESCRIPTORS.file:
    _POOL.Add(_file)


def _message(name):
    descriptor = _POOL.FindMessageTypeByName(f"tfgates.config.{name}")
    return message_factory.GetMessageClass(descriptor)


BatchingParameters = _message("BatchingParameters")
SSLConfig = _message("SSLConfig")
MonitoringConfig = _message("MonitoringConfig")


__all__ = ["BatchingParameters", "ModelServerConfig", "MonitoringConfig", "SSLConfig"]


def read(message, path, flag):
    """Reads a message in protobuf's text format.

    Args:
        message: its class.
        path: of the file.
        flag: that named the file, for the error.

    Returns:
        The message.

    Raises:
        UserError: there is no such file, or it holds another message.
    """
    try:
        return text_format.Parse(pathlib.Path(path).read_text(), message())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--{flag}={path} cannot be read: {error}.") from error
    except text_format.ParseError as error:
        raise UserError(
            f"--{flag}={path} is no {message.DESCRIPTOR.name} in text format: line {error}."
        ) from error


def one_model(name, base_path):
    """Returns the list of one `ModelConfig` that serves the highest version of a folder."""
    return [ModelConfig(name=name, base_path=base_path, model_platform="tensorflow")]


def models(server_config):
    """Returns the list of `ModelConfig` of a `ModelServerConfig`.

    Raises:
        UserError: it has none, or one that cannot be served.
    """
    configs = list(server_config.model_config_list.config)
    if not configs:
        raise UserError("A model_config_list has at least one config { name … base_path … }.")
    names = set()
    for config in configs:
        if not config.name or not config.base_path:
            raise UserError(f"A config has a name and a base_path. Received: {_line(config)}.")
        if config.name in names:
            raise UserError(f"Each config has a name of its own. Received twice: {config.name}.")
        names.add(config.name)
        if config.model_platform != "tensorflow":
            raise UserError(
                f'model_platform of {config.name} is "tensorflow". '
                f'Received: "{config.model_platform}".'
            )
        policy = config.model_version_policy
        if policy.HasField("specific") and not policy.specific.versions:
            raise UserError(
                f"specific of {config.name} names versions, as specific {{ versions: 1 }}."
            )
    return configs


def credentials(ssl_config):
    """Makes the `grpc.ServerCredentials` of an `SSLConfig`, which holds PEM texts, not paths.

    Raises:
        UserError: a text is missing or is no PEM.
    """
    for field in ("server_key", "server_cert"):
        if "-----BEGIN" not in getattr(ssl_config, field):
            raise UserError(f"{field} of an SSLConfig is the text of a PEM file, not its path.")
    if ssl_config.client_verify and not ssl_config.custom_ca:
        raise UserError("client_verify of an SSLConfig needs custom_ca, who signs the clients.")
    return grpc.ssl_server_credentials(
        [(ssl_config.server_key.encode(), ssl_config.server_cert.encode())],
        root_certificates=ssl_config.custom_ca.encode() or None,
        require_client_auth=ssl_config.client_verify,
    )


def _line(message):
    return text_format.MessageToString(message, as_one_line=True)
