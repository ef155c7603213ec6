"""Serves exported models over gRPC, as TensorFlow Serving does.

    python serving/server.py --model_base_path=runs/demo/export

A small double of tensorflow_model_server: the same calls, flags, text files, status codes and
messages. It is the default on machines without docker and the double of the real server in the
tests; production is tensorflow/serving.
"""

from absl import flags

from tfgates.base import command

flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "Address to listen on. 0.0.0.0 lets every host in that reaches this one: there is no password, "
    "and callers may have other folders loaded. Use --ssl_config_file with client_verify then.",
)
flags.DEFINE_integer(
    "port", 8500, "Port to listen on; 0: any free one.", lower_bound=0, upper_bound=65535
)
flags.DEFINE_integer(
    "rest_api_port", 0, "0: REST is spoken by tensorflow_model_server alone, by convention on 8501."
)
flags.register_validator(
    "rest_api_port",
    lambda port: not port,
    "is 0 here: this server speaks gRPC. tensorflow/serving answers REST with the same export; "
    "serving/README.md has the docker command and the curl calls",
)
flags.DEFINE_string(
    "ssl_config_file", None, "TLS: an SSLConfig in text format, with the texts of the PEM files."
)
flags.DEFINE_integer(
    "grpc_max_threads",
    100,
    "Predictions that run or wait, each on a thread; more are refused with RESOURCE_EXHAUSTED.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "max_images_per_request",
    1000,
    "Images in a request; one with more is refused before it takes memory. tensorflow_model_server "
    "has no such flag.",
    lower_bound=1,
)
flags.DEFINE_string("model_base_path", None, "Folder of integer versions of one model.")
flags.DEFINE_string("model_name", "gated", "Name under which clients ask for that model.")
flags.DEFINE_string(
    "model_config_file",
    None,
    "Several models: a ModelServerConfig in text format; the two flags above do not count then.",
)
flags.DEFINE_integer(
    "model_config_file_poll_wait_seconds",
    0,
    "Seconds after which that file is read again; 0: it is read once.",
    lower_bound=0,
)
flags.DEFINE_integer(
    "file_system_poll_wait_seconds",
    1,
    "Seconds after which the folders are looked at again for new versions; 0: once.",
    lower_bound=0,
)
flags.DEFINE_boolean(
    "allow_version_labels_for_unavailable_models",
    True,
    "Whether a new label may name a version that is not loaded yet, as all labels do when the "
    "server starts. tensorflow_model_server refuses it unless this is passed.",
)
flags.DEFINE_integer(
    "max_num_load_retries",
    5,
    "How often a version that cannot be loaded is tried again.",
    lower_bound=0,
)
flags.DEFINE_integer(
    "load_retry_interval_micros", 60_000_000, "Microseconds between two of these.", lower_bound=0
)
flags.DEFINE_boolean(
    "enable_model_warmup", True, "Replay assets.extra/tf_serving_warmup_requests of each version."
)
flags.DEFINE_boolean("enable_batching", False, "Merge requests of several callers.")
flags.DEFINE_string("batching_parameters_file", None, "How: BatchingParameters in text format.")
flags.DEFINE_integer(
    "tensorflow_intra_op_parallelism",
    1,
    "Threads of one operation. An exported network runs image by image: the cores share images.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "tensorflow_inter_op_parallelism",
    0,
    "Operations that run side by side; 0: as many as cores.",
    lower_bound=0,
)
flags.DEFINE_enum(
    "mixed_precision", "", ["", "bfloat16"], "Type in which convolutions compute; unset: float32."
)


if __name__ == "__main__":
    command.start("tfgates_server.server")
