"""Gates that have collapsed: nearly always open, or nearly always closed."""

# Rates that the paper calls collapsed: nearly always closed, nearly always open.
COLLAPSED = (0.05, 0.95)
OPEN, BETWEEN, CLOSED = "nearly always open", "in between", "nearly always closed"


def is_collapsed(rate):
    """Whether a gate is nearly always closed, or nearly always open."""
    low, high = COLLAPSED
    return rate < low or rate > high


def kinds(rates):
    """Tells the gates that have collapsed from the others: OPEN, BETWEEN or CLOSED of each."""
    return [(OPEN if rate > 0.5 else CLOSED) if is_collapsed(rate) else BETWEEN for rate in rates]


def in_words(rates):
    """Says how many gates have collapsed, and which."""
    found = kinds(rates)
    parts = []
    for kind in (OPEN, CLOSED, BETWEEN):
        gates = [f"{gate:02d}" for gate, one in enumerate(found) if one == kind]
        if gates:
            parts.append(f"{len(gates)} of {len(found)} {kind} ({listed(gates)})")
    return ", ".join(parts)


def listed(names, most=12):
    """Joins names for a sentence; of very many it leaves some out."""
    names = list(names)
    if len(names) > most:
        names = [*names[:most], f"and {len(names) - most} more"]
    return ", ".join(names)
