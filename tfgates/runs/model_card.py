"""The model card of a run folder: what its files say, and its network."""

import datetime
import json

import tfgates
from tfgates.base.files import replacing
from tfgates.graph.branches import paths
from tfgates.graph.count import count, count_parameters
from tfgates.graph.pruning import columns_of, one_sided
from tfgates.network import num_gates
from tfgates.report.compared import COMPARED
from tfgates.report.run_card import of_run
from tfgates.report.thresholds import DIGEST
from tfgates.runs.records import read_metrics

# The share of images for which a gate may decide unlike the others and still be one-sided.
RARE = 0.001


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
    data, flags = json.loads(run.data.read_text()), run.load_flags()
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
