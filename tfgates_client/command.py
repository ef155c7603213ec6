"""The command line of the client."""

import pathlib
import sys
from typing import NoReturn

import grpc
from absl import app, flags

from tfgates_client.addresses import names_ports
from tfgates_client.client import MAX_REQUEST_BYTES, MAX_VERSION, Client, is_text, is_threshold
from tfgates_client.connection import Code, ServerError
from tfgates_client.images import find_images
from tfgates_client.interrupts import end_at_once, taken_once
from tfgates_client.output import FORMATS
from tfgates_client.summary import Summary
from tfgates_client.terminal import escaped, say, silence

SERVER = flags.DEFINE_string("server", "127.0.0.1:8500", "HOST:PORT of the server.")
flags.register_validator(
    "server",
    lambda text: is_text(text) and names_ports(text),
    "is HOST:PORT, as 127.0.0.1:8500.",
)
MODEL = flags.DEFINE_string("model", "gated", "Name of the model there.")
flags.register_validator("model", is_text, "is a name, as gated.")
VERSION = flags.DEFINE_integer(
    "version",
    None,
    "Version of the model; unset: the server's choice.",
    lower_bound=0,
    upper_bound=MAX_VERSION,
)
LABEL = flags.DEFINE_string("label", None, "Label of the version, as canary, not its number.")
flags.register_validator(
    "label", lambda label: label is None or is_text(label), "is a name, as canary."
)
flags.mark_flags_as_mutual_exclusive(["version", "label"])
TAU = flags.DEFINE_float(
    "tau", None, "Run a block where its probability is greater; unset: the model's own threshold."
)
flags.register_validator(
    "tau", lambda tau: tau is None or is_threshold(tau), "is a probability in (0, 1), as 0.5."
)
EXIT_TAU = flags.DEFINE_float(
    "exit_tau",
    None,
    "Of a model with early exits: go on where the probability of that is greater; unset: the "
    "model's own.",
)
flags.register_validator(
    "exit_tau", lambda tau: tau is None or is_threshold(tau), "is a probability in (0, 1), as 0.5."
)
FORMAT = flags.DEFINE_enum(
    "format", "table", list(FORMATS), "Of the answers; jsonl and csv write each as it comes."
)
DEADLINE = flags.DEFINE_float(
    "deadline", 60.0, "Seconds that a request may take.", lower_bound=0.01, upper_bound=86_400.0
)
flags.register_validator("deadline", lambda seconds: seconds > 0, "is a number of seconds.")
WAIT_FOR_READY = flags.DEFINE_float(
    "wait_for_ready", 0.0, "Seconds to wait for the server to start.", lower_bound=0.0
)
flags.register_validator("wait_for_ready", lambda seconds: seconds < 1e9, "is a finite time.")
RETRIES = flags.DEFINE_integer(
    "retries", 5, "Times to ask a server again that is UNAVAILABLE.", lower_bound=0
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a request.", lower_bound=1)
IN_FLIGHT = flags.DEFINE_integer(
    "in_flight",
    4,
    "Requests under way at one time; 1: the next is read after an answer.",
    lower_bound=1,
)
REQUEST_BYTES = flags.DEFINE_integer(
    "request_bytes",
    64 * 2**20,
    "Bytes of the images in a request; --in_flight times as many are held.",
    lower_bound=1,
    upper_bound=MAX_REQUEST_BYTES,
)
TLS = flags.DEFINE_bool("tls", False, "Encrypt the connection and check the server's certificate.")
CA_CERTIFICATE = flags.DEFINE_string(
    "ca_certificate", None, "PEM file of who signed the server's; unset: the usual authorities."
)
CLIENT_CERTIFICATE = flags.DEFINE_string(
    "client_certificate", None, "PEM file, where the server asks for one."
)
CLIENT_KEY = flags.DEFINE_string("client_key", None, "PEM file, its private key.")

PROGRAM = pathlib.Path(sys.argv[0]).name.replace("__main__.py", "tfgates_client")
HELP = {"-h", "-help", "--help", "--helpshort"}
INTERRUPTED, BROKEN_PIPE = 130, 141  # exit codes, as of a shell
ADVICE = {
    Code.UNAVAILABLE: "Start one with python serving/server.py, pass --server, or wait for it with "
    "--wait_for_ready=30. Where it uses TLS, pass --tls, the --ca_certificate that signed its "
    "certificate, and the --client_certificate that it asks for.",
    Code.DEADLINE_EXCEEDED: "Pass a longer --deadline, or a smaller --batch_size.",
    Code.RESOURCE_EXHAUSTED: "The server takes no more at a time: pass a smaller --in_flight, or "
    "ask again later. Where it takes no request of this size, a smaller --request_bytes.",
    Code.NOT_FOUND: "Pass the name that the server was started with as --model, and a --version "
    "that it holds.",
}
# Of these, images may fail in the middle of a run; the same codes of a file mean something else.
OF_REQUESTS = (Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED)


def run() -> None:
    """Parses the flags, classifies the images named on the command line, and exits."""
    end_at_once()
    app.run(main, flags_parser=_parse)


def main(argv: list[str]) -> int:
    if sys.stdout is None:
        _fail("Cannot write the answers: stdout is closed.")
    summary = Summary()
    try:
        with taken_once(), _client() as client:
            _classify(client, argv[1:], summary)
    except ServerError as error:
        _complain(f"{error}. {ADVICE.get(error.code, '')}")
        if not summary.images:
            return 2
        say(str(summary))
        return 1
    except KeyboardInterrupt:
        say(f"\n{PROGRAM}: interrupted after {summary}")
        return INTERRUPTED
    except OSError as error:
        silence(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        _fail(f"Cannot write the answers: {error.strerror}. Make room and start again.")
    if not summary.images:
        _fail("There is no image to classify. Name JPEG or PNG files, or folders: a.jpg photos/")
    for code in OF_REQUESTS:
        if summary.failures[code.name]:
            _complain(f"{summary.failures[code.name]} of the images: {code.name}. {ADVICE[code]}")
    say(str(summary))
    return int(bool(summary.failures))


def _client() -> Client:
    return Client(
        SERVER.value,
        model=MODEL.value,
        version=VERSION.value,
        label=LABEL.value,
        deadline=DEADLINE.value,
        retries=RETRIES.value,
        batch_size=BATCH_SIZE.value,
        in_flight=IN_FLIGHT.value,
        request_bytes=REQUEST_BYTES.value,
        credentials=_credentials(),
    )


def _classify(client: Client, places: list[str], summary: Summary) -> None:
    if WAIT_FOR_READY.value and places:
        client.wait_for_ready(WAIT_FOR_READY.value)
    # Names of files are bytes; what is no UTF-8 among them is printed as it was read.
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    # A bar would cut through rows on the same terminal.
    seen = sys.stderr is not None and sys.stderr.isatty()
    bar = seen and (FORMAT.value == "table" or not sys.stdout.isatty())
    answers = client.classify(find_images(*places), TAU.value, EXIT_TAU.value)
    FORMATS[FORMAT.value](summary.watch(answers, bar), sys.stdout)
    sys.stdout.flush()


def _credentials() -> grpc.ChannelCredentials | None:
    files = (CA_CERTIFICATE, CLIENT_KEY, CLIENT_CERTIFICATE)
    if not TLS.value:
        for flag in files:
            if flag.value is not None:
                _fail(f"--{flag.name} is of no use without --tls.")
        return None
    if (CLIENT_KEY.value is None) != (CLIENT_CERTIFICATE.value is None):
        _fail("--client_certificate and --client_key go together.")
    return grpc.ssl_channel_credentials(*map(_pem, files))


def _pem(flag: flags.FlagHolder[str | None]) -> bytes | None:
    if flag.value is None:
        return None
    try:
        content = pathlib.Path(flag.value).read_bytes()
    except OSError as error:
        _fail(f"--{flag.name}={flag.value} cannot be read: {error.strerror}.")
    if b"-----BEGIN " not in content:
        _fail(f"--{flag.name}={flag.value} is no PEM file.")
    return content


def _parse(argv: list[str]) -> list[str]:
    if HELP.intersection(argv):
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except (flags.Error, UnicodeDecodeError) as error:
        _fail(f"{error} See --help.")


def _complain(message: str) -> None:
    say(f"{PROGRAM}: error: {escaped(' '.join(message.split()))}")


def _fail(message: str) -> NoReturn:
    _complain(message)
    sys.exit(2)
