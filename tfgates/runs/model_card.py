"""The model card of a run folder: what its files say, and its network."""

import datetime
import shlex

import tabulate

import tfgates
from tfgates.base.files import replacing
from tfgates.graph.branches import paths
from tfgates.graph.count import count, count_parameters
from tfgates.graph.pruning import columns_of, one_sided
from tfgates.network import num_gates
from tfgates.report import card, tables
from tfgates.report.comparison import COMPARED
from tfgates.runs.records import DIGEST, read_metrics

# The share of images for which a gate may decide unlike the others and still be one-sided.
RARE = 0.001
NO_GATES = "An image classifier, a plain network in which every branch is always run"
DECIDED = {None: "", True: "always open", False: "always closed"}

RUN = """# {network}, {num_classes} classes

{idea}; trained by tfgates {tfgates}. Written on {date}.

{facts}

## Results

{results}

## Gates

{gates}

## Data

{data}

{labels}

## Training

{flags}

## Intended use and limits

It sorts images like those of the data set into its classes, each into one. It was made to study
what a network may leave out; nothing but the figures above is known of it.

{limits}
- The errors of single classes, of groups of people, and under noise or attack were not measured.
- Images that belong to no class get one all the same.

## Again, and further

```bash
{commands}
```
"""


def write_card(run, network, dataset, measured=None):
    """Writes model_card.md.

    Args:
        run: `RunFolder`.
        network: its network.
        dataset: `ImageDataset` or `FolderDataset` of the run.
        measured: a split, and a list of `Result` on its images, the network's own policy first;
            None: those of metrics.json.
    """
    if measured is None:
        metrics = read_metrics(run)
        measured = "test", metrics.policies if metrics else []
    about = describe(run, network, dataset, measured)
    with replacing(run.card) as file:
        file.write(of_run(about))


def describe(run, network, dataset, measured):
    """Describes a run as a dict, of which `of_run` makes the card; see `write_card`."""
    data, flags = run.read_data(), run.load_flags()
    size = data["preprocessing"]["size"]
    split, results = measured
    return {
        "tfgates": tfgates.__version__,
        "date": datetime.date.today().isoformat(),
        "run": str(run.path),
        "network": network.name,
        "branches": len(paths(network)),
        "gates": num_gates(network),
        "gated_branches": [layer.name for layer, columns in columns_of(network) for _ in columns],
        "parameters": count_parameters(network),
        DIGEST: run.digest,
        "macs": count(network, (size, size, 3)).ungated,
        "split": split,
        "results": results,
        "one_sided": one_sided(results[0].gate_rates, RARE) if results else {},
        "splits": {name: (dataset.size(name), words) for name, words in data["splits"].items()},
        "flags": {name: flags[name] for name in COMPARED if name in flags},
        **{name: data[name] for name in ("dataset", "labels", "preprocessing", "mean", "std")},
    }


def of_run(about):
    """Writes the card from the description of `describe`."""
    preprocessing = about["preprocessing"]
    facts = [
        ("branches", about["branches"]),
        ("gates", about["gates"]),
        ("parameters", f"{about['parameters']:,}"),
        ("multiply-adds", f"{about['macs'] / 1e6:,.2f} M of an image with every branch"),
        *card.fitted(preprocessing),
        ("`model.keras`", f"SHA-256 {about[DIGEST]}"),
    ]
    mean, std = (", ".join(f"{x:g}" for x in about[name]) for name in ("mean", "std"))
    data = [
        ("data set", card.escaped(about["dataset"])),
        *((name, _split(*split)) for name, split in about["splits"].items()),
        ("pixels", f"standardized by mean {mean} and std {std} of the channels, in [0, 1]"),
    ]
    flags = [(name, card.escaped(value) or "(empty)") for name, value in about["flags"].items()]
    return RUN.format(
        **{name: about[name] for name in ("network", "tfgates", "date")},
        idea=card.IDEA if about["gates"] else NO_GATES,
        num_classes=len(about["labels"]),
        facts=card.facts(facts),
        results=_results(about),
        gates=_gates(about),
        data=card.facts(data),
        labels=card.labels(about["labels"]),
        flags=card.facts(flags),
        limits=card.LIMITS,
        commands=_commands(about),
    )


def _split(images, words):
    return f"{images:,} images: {card.escaped(words)}"


def _results(about):
    if not about["results"]:
        return "Not evaluated yet; `tfgates.tools.evaluate` does, and writes this card anew."
    images, _ = about["splits"][about["split"]]
    return (
        f"On {images:,} {about['split']} images; multiply-adds of a mean image; target rate "
        f"{about['flags'].get('target_rate', 'unknown')}.\n\n"
        f"{tables.policies(about['results'], form='github')}"
    )


def _gates(about):
    if not about["gates"]:
        return "None: every branch is run for every image."
    if not about["results"]:
        return f"{about['gates']}, whose rates were not measured."
    first = about["results"][0]
    decided = about["one_sided"]
    rows = [
        [f"{gate:02d}", card.escaped(branch), f"{rate:.3f}", DECIDED[decided.get(gate)]]
        for gate, (branch, rate) in enumerate(
            zip(about["gated_branches"], first.gate_rates, strict=True)
        )
    ]
    named = [
        f"{word}: {', '.join(f'{g:02d}' for g in decided if decided[g] is decision) or 'none'}"
        for decision, word in ((True, "Always open"), (False, "always closed"))
    ]
    table = tabulate.tabulate(rows, ["gate", "branch", "rate", ""], "github", disable_numparse=True)
    return (
        f"Policy: {first.policy}. Deciding alike for at least 99.9 % of the images: "
        f"{len(decided)} of {about['gates']}. {'; '.join(named)}.\n\n{table}"
    )


def _commands(about):
    run = about["run"]
    flagfile, export = f"--flagfile={run}/flags.cfg", f"--model_base_path={run}/export"
    tool = ["python", "-m", "tfgates.tools."]
    commands = [
        ["python", "train.py", flagfile, f"--output_dir={run}-again"],
        [*tool[:2], f"{tool[2]}evaluate", f"--run={run}"],
        [*tool[:2], f"{tool[2]}export", f"--run={run}"],
        ["python", "serving/server.py", export],
    ]
    return "\n".join(map(shlex.join, commands))
