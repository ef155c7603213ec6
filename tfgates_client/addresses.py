"""What an address of gRPC names: hosts with their ports, this machine, and the way there.

That way is a proxy of a variable of the environment, or none.
"""

import os
import re

# As gRPC looks for them, the first that is set.
VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
_PORT = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):\w+")
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\w+)?")


def is_local(address: str) -> bool:
    """Whether an address is on this machine, where no proxy helps to reach it."""
    hosts = _hosts(address)
    return address.startswith("unix") or all(_LOOPBACK.fullmatch(host) for host in hosts)


def proxy_variable(address: str) -> str | None:
    """Returns the name of the variable whose proxy is taken to an address; None: no proxy."""
    if is_local(address):
        return None
    exceptions = next(filter(None, map(os.environ.get, EXCEPTIONS)), "")
    endings = tuple(ending.strip() for ending in exceptions.split(",") if ending.strip())
    names = [re.sub(r":\w+$", "", host) for host in _hosts(address)]
    if endings and all(name.endswith(endings) for name in names):
        return None
    return next((variable for variable in VARIABLES if os.environ.get(variable)), None)


def names_ports(address: str) -> bool:
    """Whether each host of an address has its port; without one gRPC would take that of HTTPS."""
    if re.match(r"(unix|unix-abstract|vsock|xds|dns://[^/])", address):
        return True
    return all(_PORT.fullmatch(host) for host in _hosts(address))


def _hosts(address: str) -> list[str]:
    return re.sub(r"^(dns|ipv4|ipv6):/*", "", address).split(",")
