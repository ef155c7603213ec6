"""The head of a page: what was trained, and the figures that matter most."""

from tfgates.graph.count import count_parameters
from tfgates.network import has_learned_gates
from tfgates.report.pictures import BETWEEN, kinds

# Flags that say what was trained, in the words of the paper; empty and "none" ones are left out.
ABOUT = {
    "dataset": "data set",
    "network": "network",
    "gate": "gate",
    "target_loss": "target loss",
    "target_schedule": "target over the epochs",
    "epochs": "epochs",
    "batch_size": "batch size",
    "learning_rate": "learning rate",
    "seed": "seed",
}
OF_LEARNED_GATES = ("target_loss", "target_schedule")


def target_rate(record, network):
    """The rate a run was trained towards, as it was recorded, else as its flags say; or None."""
    if not has_learned_gates(network):
        return None
    if record.metrics is not None:
        return record.metrics.target_rate
    return float(record.flags.get("target_rate", 1))


def about(record, network):
    """Lists what was trained: pairs of name and value."""
    found = []
    for flag, name in ABOUT.items():
        value = record.flags.get(flag, "")
        if flag in OF_LEARNED_GATES and not has_learned_gates(network):
            continue
        if value and value != "constant":
            found.append((name, value.replace("_", " ") if flag in OF_LEARNED_GATES else value))
    if has_learned_gates(network):
        unit = record.flags.get("target_unit", "branches").replace("_", "-")
        found.append(("target rate", f"{target_rate(record, network):g} of the {unit}"))
    return [*found, ("parameters", f"{count_parameters(network):,}")]


def figures(record, network, rates):
    """Lists the headline: a number, what it is, and a remark.

    Args:
        record, network: `tfgates.runs.records.Record` and its network.
        rates: of each gate by policy, the network's own policy first, sampled decisions last.
    """
    found = []
    if record.metrics is not None:
        own = record.metrics.policies[0]
        images = f"{record.metrics.test_images:,} test images"
        saved = f"of {record.metrics.ungated_macs / 1e6:,.2f} M, {100 * own.macs_share:.1f} %"
        found = [
            (f"{own.top1_error:.2f} %", "top-1 error", f"{own.policy}, {images}"),
            (f"{own.macs / 1e6:,.2f} M", "multiply-adds per image", saved),
        ]
        if has_learned_gates(network):
            unit = record.flags.get("target_unit", "branches").replace("_", "-")
            aim = f"target {record.metrics.target_rate:g} of the {unit}"
            found.insert(1, (f"{own.rate:.3f}", "rate of the gates", aim))
    if has_learned_gates(network):
        *_, (policy, sampled) = rates.items()
        collapsed = sum(kind != BETWEEN for kind in kinds(sampled))
        found.append((f"{collapsed} of {len(sampled)}", "gates have collapsed", policy))
    return found
