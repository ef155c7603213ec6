"""What --network and --teacher name: a builder, or as KIND:VALUE a network that exists already."""

from tfgates.settings.choices import APPLICATIONS, NETWORKS, SELF

# A network of keras.applications; a model of one's own; the network of a run folder.
KERAS, MODEL, RUN = "keras", "model", "run"
KINDS = {
    KERAS: "keras:NAME of keras.applications",
    MODEL: "model:PATH of a .keras file",
    RUN: "run:PATH of a run folder",
}
RULE = f"is {', '.join(NETWORKS)}, or {', '.join(KINDS.values())}"
TEACHERS = (
    f"run:PATH of a run folder, keras:NAME of keras.applications with Keras's weights, or {SELF}: "
    "the network itself with every gate open"
)


def split(network):
    """Splits --network=KIND:VALUE.

    Args:
        network: value of the flag.

    Returns:
        Kind and value; the kind of a name in `NETWORKS` is None.
    """
    kind, colon, value = network.partition(":")
    return (kind, value) if colon else (None, network)


def is_known(network):
    """Whether a network is of a known name or kind; whether it is there is not looked at."""
    kind, value = split(network)
    if kind == KERAS:
        return value in APPLICATIONS
    return value in NETWORKS if kind is None else kind in KINDS


def is_teacher(text):
    """Whether a text is what --teacher takes; whether it is there is not looked at."""
    kind, value = split(text)
    if kind is None:
        return value in ("", SELF)
    return (kind == RUN and bool(value)) or (kind == KERAS and value in APPLICATIONS)
