"""Tests the paper's claims on the full Fashion-MNIST: many small runs, a verdict for each claim.

    python -m benchmarks.claims --flagfile=flags/fashion_mnist.cfg --data_dir=data --jobs=2

Runs are those of flags/fashion_mnist.cfg with a few flags changed. They are shared with
benchmarks.techniques and go on where they were broken off; their rows are in
benchmarks/results/fashion_mnist.csv. Prints the table of the test images and the verdicts, and
draws error against multiply-adds beside the rows.
"""

import pathlib
import re
import subprocess
import sys

from absl import flags

import tfgates.settings.flags
from benchmarks import rows, runs_picture, verdicts
from benchmarks.fashion_runs import RESULTS, settings, train
from tfgates.base import command
from tfgates.base.timing import hardware, table
from tfgates.report.sweep import as_text
from tfgates.runs.folder import RunFolder

tfgates.settings.flags.define_flags()
flags.adopt_module_key_flags(tfgates.settings.flags)
SEEDS = flags.DEFINE_list("seeds", ["1", "2", "3"], "Seeds of every run.")
TARGETS = flags.DEFINE_list("targets", ["0.2", "0.4", "0.5", "0.6"], "Target rates.")
JOBS = flags.DEFINE_integer("jobs", 1, "Runs at a time.", lower_bound=1)

flags.register_validator(
    "seeds",
    lambda texts: texts and all(re.fullmatch("0|[1-9][0-9]*", text) for text in texts),
    "are whole numbers, as 1,2,3.",
)
flags.register_validator(
    "targets",
    lambda texts: texts and all(re.fullmatch("0[.][0-9]*[1-9]|1", text) for text in texts),
    "are rates, as 0.4,0.6.",
)

BESIDE = {
    "plain": "gate=none",
    "stochastic depth": "gate=stochastic_depth",
    "annealed": "target_schedule=annealed anneal_step=0.25 anneal_epochs=1",
    "variable target": "target_schedule=exponential_moving_average",
}
# Beyond it runs stand in the table alone.
HIGHEST = 15
LABELS = ("gates", "target", "seed")


def main():
    found = train_gated() + train_beside()
    found += train_pruned(found)
    print(f"\n{as_text(found, ['gates', 'target'], 'github')}\n")
    print(table(verdicts.all_of(found), verdicts.HEADERS))
    hours = sum(row["cpu_seconds"] or 0 for row in found) / 3600
    print(f"\n{hardware()}, {hours:.1f} hours of CPU time.")
    # The picture beside the rows is one of all runs.
    whole = all(flags.FLAGS[name].using_default_value for name in ("seeds", "targets"))
    folder = RESULTS.parent if whole else pathlib.Path(flags.FLAGS.output_dir)
    picture = folder / f"{RESULTS.stem}.png"
    runs_picture.draw(found, picture, HIGHEST)
    print(f"Written: {RESULTS}, {picture}")


def train_gated():
    """Trains {dependent, independent} x {per batch, per gate} at each target rate and seed."""
    runs = {
        (f"{gate}, {loss}", target, seed): settings(
            f"gate={gate} target_loss={loss} target_rate={target}", seed
        )
        # The seeds change slowest: what is finished first is a whole grid.
        for seed in SEEDS.value
        for target in TARGETS.value
        for gate in ("dependent", "independent")
        for loss in ("per_batch", "per_gate")
    }
    return sorted(rows_of(runs), key=lambda row: (row["gates"], row["target"]))


def train_beside():
    """Trains what the gated networks stand beside."""
    return rows_of(
        {
            (name, "", seed): settings(text, seed)
            for seed in SEEDS.value
            for name, text in BESIDE.items()
        }
    )


def train_pruned(gated_rows):
    """Prunes the independent networks, and trains the same blocks without gates from new weights.

    A pruned network is its gated one at the threshold: its row is there already.
    """
    runs, missing, known = {}, {}, rows.read(RESULTS)
    for row in gated_rows:
        if row["gates"] == "independent, per_batch":
            target, seed = row["target"], row["seed"]
            gated = settings(f"gate=independent target_rate={target}", seed)
            pruned = pathlib.Path(f"{gated.output_dir}-pruned")
            anew = settings(f"network=run:{pruned} fresh_weights=true gate=none", seed)
            runs["pruned blocks, trained anew", target, seed] = anew
            is_trained = pathlib.Path(anew.output_dir).name in known
            if not is_trained and not RunFolder(pruned).model.exists():
                missing[pruned] = gated
    # Their rows may have come with the repository, without a folder.
    rows.train_here(list(missing.values()), JOBS.value)
    for pruned, gated in missing.items():
        flags_of_tool = (f"--run={gated.output_dir}", f"--output_dir={pruned}")
        subprocess.run([sys.executable, "-m", "tfgates.tools.prune", *flags_of_tool], check=True)
    found = rows_of(runs)
    for row in found:
        # The shares of a run are of its own blocks; here they are of those before pruning.
        row["macs_share"] = row["macs"] / ungated(gated_rows)
    return found


def rows_of(runs):
    done = train(list(runs.values()), JOBS.value)
    return [
        {**dict(zip(LABELS, labels, strict=True)), **done[one.output_dir]}
        for labels, one in runs.items()
    ]


def ungated(found):
    """The multiply-adds of the plain network."""
    return next(row["macs"] for row in found if row["gates"] == "plain")


if __name__ == "__main__":
    command.run(main)
