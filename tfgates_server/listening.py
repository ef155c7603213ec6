"""Why a server cannot listen: what is said of the port, of the host, or of the certificate."""

import errno
import socket

from tfgates.base.errors import UserError

REASONS = {
    errno.EADDRINUSE: (
        "--port={port} is taken on {host}. Stop what listens there, or choose another port."
    ),
    errno.EACCES: (
        "--port={port} needs rights that this process lacks. Choose one from 1024 on, as 8500."
    ),
}
NO_ADDRESS = (
    "--host={host} is not an address of this machine: {reason}. Pass 127.0.0.1, or 0.0.0.0 for all."
)
NO_CERTIFICATE = (
    "--ssl_config_file holds a server_key, a server_cert or a custom_ca that is not one, or a key "
    "of another certificate. serving/make_tls.sh makes them."
)


def refusal(host, port, encrypted, error):
    """Returns the `UserError` of a server that gRPC cannot let listen.

    Args:
        host, port: where it was to listen.
        encrypted: whether it has TLS.
        error: of gRPC, which says nothing of the reason.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As gRPC does: a port that a client has just left is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as reason:
        known = REASONS.get(getattr(reason, "errno", None) or 0, NO_ADDRESS)
        said = getattr(reason, "strerror", None) or reason
        return UserError(known.format(host=host, port=port, reason=said))
    if encrypted:
        return UserError(NO_CERTIFICATE)
    return UserError(f"--port={port} on --host={host} cannot be listened on: {error}.")
