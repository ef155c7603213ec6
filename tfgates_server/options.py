"""What the flags of the server ask for (`tfgates.tools.serve`)."""

from absl import flags

from tfgates.base.errors import UserError
from tfgates_server import config
from tfgates_server.batching import Batching
from tfgates_server.model import session_config

FLAGS = flags.FLAGS


def model_configs():
    """Returns the list of `ModelConfig`."""
    if FLAGS.model_config_file:
        return config.models(
            config.read(config.ModelServerConfig, FLAGS.model_config_file, "model_config_file")
        )
    if not (FLAGS.model_base_path and FLAGS.model_name):
        raise UserError(
            "There is no model to serve. Pass --model_base_path=runs/NAME/export with its "
            "--model_name, or --model_config_file=models.config."
        )
    return config.one_model(FLAGS.model_name, FLAGS.model_base_path)


def session():
    """Returns the `ConfigProto` of the sessions."""
    return session_config(
        FLAGS.tensorflow_intra_op_parallelism,
        FLAGS.tensorflow_inter_op_parallelism,
        FLAGS.mixed_precision,
    )


def batching():
    """Returns the `Batching`."""
    if not FLAGS.batching_parameters_file:
        return Batching()
    if not FLAGS.enable_batching:
        raise UserError(
            f"--batching_parameters_file={FLAGS.batching_parameters_file} asks for "
            "--enable_batching. Pass both or neither."
        )
    parameters = config.read(
        config.BatchingParameters, FLAGS.batching_parameters_file, "batching_parameters_file"
    )
    return Batching.from_parameters(parameters)


def credentials():
    """Returns the `grpc.ServerCredentials`; None: without TLS."""
    if not FLAGS.ssl_config_file:
        return None
    return config.credentials(
        config.read(config.SSLConfig, FLAGS.ssl_config_file, "ssl_config_file")
    )
