"""The page of a run: its head, what stands in which section, and in which words."""

import shlex

from tfgates.graph.count import count_parameters
from tfgates.network import gates, has_learned_gates, num_gates
from tfgates.report import chain, tables
from tfgates.report.collapsed import BETWEEN, in_words, kinds
from tfgates.report.comparison import costs, evaluate, not_evaluated, results
from tfgates.report.inside import by_class, photos
from tfgates.report.page import Code, Missing, Page, Section, Table
from tfgates.report.rates import final_rates, rates_over_training, target_of_rates

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
NO_GATES = "This network has no gates, every image runs every branch: nothing to show here."
BLIND = "These gates do not look at the image, every image runs the same branches: nothing to gain."
FIXED = (
    "The gates of stochastic depth have fixed probabilities and do not look at the image; after "
    "the training every branch runs, scaled: there is nothing to show here."
)


def build(records, network, input_shape, labels, inside):
    """Lays out the page of a run; other runs stand beside it in the comparison.

    Args:
        records: list of `tfgates.runs.records.Record`, the run first.
        network: its network.
        input_shape: (H, W, C) of its images.
        labels: names of the classes.
        inside: `tfgates.inference.inside.Inside`, or None without learned gates.

    Returns:
        `Page`.
    """
    record = records[0]
    rates = final(record, network, inside)
    why_not = FIXED if num_gates(network) else NO_GATES
    gated = [
        Section("training", "Rates over the training", training(record, network)),
        Section("rates", "Rates after the training", after(record, network, rates)),
        Section("classes", "Classes and gates", by_class(inside, labels, why_not)),
        Section("gain", "What is gained by looking at the image", gained(record, network, why_not)),
        Section(
            "images", "Images that run most and fewest branches", photos(inside, labels, why_not)
        ),
    ]
    return Page(
        title=f"Report of {record.name}",
        about=about(record, network),
        figures=figures(record, network, rates),
        sections=[
            Section("results", "Results", results(records)),
            *left_early(record),
            Section("tradeoff", "Error against multiply-adds", costs(records)),
            Section("chain", "The network", drawn(network, input_shape, rates)),
            *gated,
            Section("repeat", "Repeat this run", repeat(record)),
        ],
    )


def final(record, network, inside):
    """The rates of each gate by policy, the network's own policy first; {} if not measured."""
    if not num_gates(network):
        return {}
    if record.metrics is not None:
        own = record.metrics.policies
        sampled = [one for one in own if one.policy.startswith("stochastic")]
        return {one.policy: one.gate_rates for one in (own[0], *sampled)}
    return {} if inside is None else inside.rates


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


def drawn(network, input_shape, rates):
    """The chain of branches, as a picture and as a table."""
    if num_gates(network) and not rates:
        return [Missing("The rates of the branches are not measured yet, see above.")]
    policy, own = next(iter(rates.items()), ("without gates", []))
    links = chain.links(network, input_shape, own)
    if not links:
        return [Missing("This network has no branches left.")]
    rows = [
        [
            link.name,
            ", ".join(f"{gate:02d}" for gate in link.gates) or "none",
            "identity" if link.identity else "projection",
            f"{link.rate:.3f}",
            f"{link.branch / 1e6:.3f}",
            f"{link.run / 1e6:.3f}",
            f"{link.gate / 1e6:.3f}",
        ]
        for link in links
    ]
    headers = ["branch", "gate", "shortcut", "rate", "M of it", "M of it run"]
    caption = f"The branches in numbers, {policy}; M: million multiply-adds per image"
    return [
        chain.draw(links, policy),
        Table(caption, [*headers, "M of the gate"], {"": rows}, texts=3, folded=True),
    ]


def training(record, network):
    """The activation of every gate over the training."""
    if not num_gates(network):
        return [Missing(NO_GATES)]
    rates = record.rates
    if rates is None or rates.values.shape[1] != num_gates(network):
        flagfile = shlex.quote(f"{record.name}/flags.cfg")
        return [
            Missing(
                f"{record.name} has no log of these {num_gates(network)} gates, rates.csv or "
                "log.csv: it was lost, or the network was pruned after the training. Training "
                "writes it:",
                f"python train.py --flagfile={flagfile} "
                f"--output_dir={shlex.quote(record.name + '-again')}",
            )
        ]
    target = target_of_rates(record.flags, target_rate(record, network))
    picture = rates_over_training(rates.positions, rates.unit, rates.values, target)
    return [f"At the end of the training: {in_words(rates.values[-1])}.", picture]


def after(record, network, rates):
    """The final rates, with the collapsed gates marked."""
    if not num_gates(network):
        return [Missing(NO_GATES)]
    if not rates:
        return [not_evaluated(record)]
    bars, dots = (list(rates.items()) * 2)[:2]
    text = f"On the test images, {dots[0]}: {in_words(dots[1])}."
    target = target_of_rates(record.flags, target_rate(record, network))
    return [text, final_rates(bars, dots, target)]


def gained(record, network, why_not):
    """The errors of the same work, decided otherwise."""
    if not any(getattr(layer.gate, "data_dependent", True) for layer in gates(network)):
        return [Missing(BLIND if has_learned_gates(network) else why_not)]
    if record.gain is None:
        return [
            Missing(
                "It has not been measured, or of another model. This measures it:",
                f"{evaluate(record.name)} --gain",
            )
        ]
    caption = "The same network on the test images, at the threshold 0.5 and decided otherwise"
    return [Table(caption, tables.GAIN_HEADERS, {"": tables.gain_rows(record.gain)})]


def left_early(record):
    """What each early exit does; no section of a network without any."""
    if record.exits is None:
        return []
    caption = "Images that leave at each exit, on the test images at the threshold 0.5"
    table = Table(caption, tables.EXIT_HEADERS, {"": tables.exit_rows(record.exits)})
    return [Section("exits", "Early exits", [table])]


def repeat(record):
    """The command that trains the run again, and its flags."""
    flags = "\n".join(f"--{name}={value}" for name, value in record.flags.items())
    again = shlex.quote(f"{record.name}-again")
    command = f"python train.py --flagfile={shlex.quote(record.name + '/flags.cfg')}"
    if not flags:
        return [Missing(f"{record.name}/flags.cfg is missing: how it was trained is not known.")]
    return [
        Code(
            "This command trains the same network again, in another folder:",
            f"{command} --output_dir={again}",
        ),
        Code("The flags of the run, flags.cfg", flags, folded=True),
    ]
