"""The page of a run: what stands in which section, and in which words."""

import shlex

from tfgates.network import num_gates
from tfgates.report import chain, classes, headline
from tfgates.report.class_words import class_table, most_special
from tfgates.report.compared import costs, not_evaluated, results
from tfgates.report.final_rates import final_rates
from tfgates.report.page import Card, Cards, Code, Missing, Page, Section, Table
from tfgates.report.photos import as_png
from tfgates.report.pictures import in_words, rates_over_training, target_of_rates

NO_GATES = "This network has no gates, every image runs every branch: nothing to show here."
FIXED = (
    "The gates of stochastic depth have fixed probabilities and do not look at the image; after "
    "the training every branch runs, scaled: there is nothing to show here."
)
ALIKE = "Every test image runs the same branches: none stand out."


def build(records, network, input_shape, labels, inside):
    """Lays out the page of a run; other runs stand beside it in the comparison.

    Args:
        records: list of `tfgates.runs.records.Record`, the run first.
        network: its network.
        input_shape: (H, W, C) of its images.
        labels: names of the classes.
        inside: `tfgates.runs.inside.Inside`, or None without learned gates.

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
        Section(
            "images", "Images that run most and fewest branches", photos(inside, labels, why_not)
        ),
    ]
    return Page(
        title=f"Report of {record.name}",
        about=headline.about(record, network),
        figures=headline.figures(record, network, rates),
        sections=[
            Section("results", "Results", results(records)),
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
    target = target_of_rates(record.flags, headline.target_rate(record, network))
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
    target = target_of_rates(record.flags, headline.target_rate(record, network))
    return [text, final_rates(bars, dots, target)]


def by_class(inside, labels, why_not):
    """The heat maps, and the classes that run other gates than the rest."""
    if inside is None:
        return [Missing(why_not)]
    threshold, stochastic = inside.class_rates.items()
    words = most_special(inside, labels)
    picture = classes.class_rates(dict([stochastic, threshold]), labels, " ".join(words))
    return [*words, picture, class_table(inside, labels)]


def photos(inside, labels, why_not):
    """Test images on which most and fewest gates opened."""
    if inside is None:
        return [Missing(why_not)]
    if not inside.most:
        return [Missing(ALIKE)]
    return [
        "Test images, decided by threshold 0.5. The digits are the gates from the first to the "
        "last, 1 where the branch ran. Of images that tie, those shown are spread over the split.",
        *(
            Cards(title, [_card(photo, labels) for photo in some])
            for title, some in (("Most branches", inside.most), ("Fewest branches", inside.fewest))
        ),
    ]


def _card(photo, labels):
    label, prediction = labels[photo.label], labels[photo.prediction]
    right = photo.label == photo.prediction
    verdict = "right" if right else f"wrong: {prediction}"
    opened = photo.decisions.astype(int)
    return Card(
        png=as_png(photo.pixels),
        alternative=f"Test image of the class {label}",
        lines=[
            label,
            f"{'✓' if right else '✗'} {verdict}",
            f"{opened.sum()} of {len(opened)} gates open",
            "".join(map(str, opened)),
            f"{photo.macs / 1e6:,.2f} M multiply\u2011adds",
        ],
    )


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
