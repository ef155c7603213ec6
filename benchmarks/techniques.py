"""Trains a small network on the full Fashion-MNIST with each technique of the paper, and compares.

    python -m benchmarks.techniques --data_dir=data
    python -m benchmarks.techniques --data_dir=data --only=plain,annealed

Every run is `python train.py --flagfile=flags/fashion_mnist.cfg` with the flags below, and goes on
where it was broken off; finished ones are only read. Prints the table of the test images: what is
chosen, thresholds and epochs, is chosen without them.
"""

import csv
import json
import os
import pathlib
import subprocess
import sys

from absl import app, flags

from tfgates.report.timing import table

DATA_DIR = flags.DEFINE_string("data_dir", "", "Folder of the prepared data sets, as of train.py.")
RUNS = flags.DEFINE_string("runs", "runs/techniques", "Folder of the runs.")
ONLY = flags.DEFINE_list("only", [], "Names of techniques; empty: all.")
SEED = flags.DEFINE_integer("seed", 1, "Of every run.")

VARIABLE = "--target_schedule=moving_average"
TECHNIQUES = {
    "plain": "--gate=none",
    "stochastic depth": "--gate=stochastic_depth",
    "stochastic depth p_L .8": "--gate=stochastic_depth --last_probability=0.8",
    "dependent per batch": "",
    "dependent per gate": "--target_loss=per_gate",
    "independent per batch": "--gate=independent",
    "independent per gate": "--gate=independent --target_loss=per_gate",
    "per batch constant-quadratic": "--target_penalty=constant_quadratic",
    "per gate constant-quadratic": ("--target_loss=per_gate --target_penalty=constant_quadratic"),
    "per batch reversed": "--target_penalty=reversed_quadratic",
    "cost-weighted": "--target_unit=multiply_adds",
    "targets per gate": "--block_targets=1,t,t,t,t,0.8",
    "annealed": "--target_schedule=annealed --anneal_step=0.25 --anneal_epochs=1",
    "variable window 1": VARIABLE,
    "variable window 50": f"{VARIABLE} --target_window=50",
    "variable exponential": "--target_schedule=exponential_moving_average",
    "variable constant-quadratic": f"{VARIABLE} --target_penalty=constant_quadratic",
    "relaxed": "--relax_epochs=2",
    "noise off": "--sample_epochs=4",
    "output filters dependent": "--gated=output_filters",
    "output filters independent": "--gated=output_filters --gate=independent",
    "inner filters dependent": "--gated=inner_filters",
    "inner filters independent": "--gated=inner_filters --gate=independent",
}


def train(name):
    """Trains a run, or reads it where it is finished; returns its folder."""
    run = pathlib.Path(RUNS.value) / f"{name.replace(' ', '_')}_{SEED.value}"
    if not (run / "metrics.json").exists():
        command = [sys.executable, "train.py", "--flagfile=flags/fashion_mnist.cfg"]
        options = [f"--output_dir={run}", f"--seed={SEED.value}", f"--data_dir={DATA_DIR.value}"]
        process = subprocess.Popen([*command, *TECHNIQUES[name].split(), *options])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{name}: train.py ended with {os.waitstatus_to_exitcode(status)}.")
        with (run / "seconds.csv").open("a", newline="") as file:
            csv.writer(file).writerow([usage.ru_utime + usage.ru_stime])
    return run


def row(name, run):
    """Returns the row of a run: the policy of its own inference, on the test images."""
    metrics = json.loads((run / "metrics.json").read_text())
    own, rates = metrics["policies"][0], metrics["policies"][0]["gate_rates"]
    collapsed = sum(rate < 0.05 or rate > 0.95 for rate in rates)
    seconds = [float(line) for line in (run / "seconds.csv").read_text().split()]
    return [
        name,
        f"`{TECHNIQUES[name]}`" if TECHNIQUES[name] else "",
        f"{own['top1_error']:.2f}",
        f"{own['rate']:.3f}",
        f"{own['macs'] / 1e6:.2f}",
        f"{100 * own['macs_share']:.1f} %",
        " ".join(f"{rate:.2f}"[-3:] if rate < 1 else "1" for rate in rates),
        f"{collapsed} of {len(rates)}" if rates else "",
        f"{sum(seconds):.0f}",
    ]


def main(_):
    names = ONLY.value or list(TECHNIQUES)
    unknown = sorted(set(names) - set(TECHNIQUES))
    if unknown:
        raise SystemExit(f"--only names techniques: {', '.join(TECHNIQUES)}. Received: {unknown}.")
    headers = ["", "flags", "top-1 error %", "rate", "M multiply-adds", "of ungated"]
    rows = [row(name, train(name)) for name in names]
    print(table(rows, [*headers, "rate of each gate", "collapsed", "CPU s"]))


if __name__ == "__main__":
    app.run(main)
