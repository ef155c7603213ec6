"""Trains a small network on the full Fashion-MNIST with each technique of the paper, and compares.

    python -m benchmarks.techniques --flagfile=flags/fashion_mnist.cfg --data_dir=data --jobs=2
    python -m benchmarks.techniques --flagfile=flags/fashion_mnist.cfg --only=plain,annealed

Every run is `python train.py --flagfile=flags/fashion_mnist.cfg` with the flags below, and goes on
where it was broken off; finished ones are only read, see benchmarks/rows.py. Prints the
table of the test images: what is chosen, thresholds and epochs, is chosen without them.
"""

from absl import flags

import tfgates.settings.flags
from benchmarks.fashion_runs import settings, train
from tfgates.base import command
from tfgates.base.errors import UserError
from tfgates.base.timing import hardware, table
from tfgates.report.sweep import figures

tfgates.settings.flags.define_flags()
flags.adopt_module_key_flags(tfgates.settings.flags)
ONLY = flags.DEFINE_list("only", [], "Names of techniques; empty: all.")
JOBS = flags.DEFINE_integer("jobs", 1, "Runs at a time.", lower_bound=1)

VARIABLE = "target_schedule=moving_average"
TECHNIQUES = {
    "plain": "gate=none",
    "stochastic depth": "gate=stochastic_depth",
    "stochastic depth p_L .8": "gate=stochastic_depth last_probability=0.8",
    "dependent per batch": "",
    "dependent per gate": "target_loss=per_gate",
    "independent per batch": "gate=independent",
    "independent per gate": "gate=independent target_loss=per_gate",
    "per batch constant-quadratic": "target_penalty=constant_quadratic",
    "per gate constant-quadratic": "target_loss=per_gate target_penalty=constant_quadratic",
    "per batch reversed": "target_penalty=reversed_quadratic",
    "cost-weighted": "target_unit=multiply_adds",
    "targets per gate": "branch_targets=1,t,t,t,t,0.8",
    "annealed": "target_schedule=annealed anneal_step=0.25 anneal_epochs=1",
    "variable window 1": VARIABLE,
    "variable window 50": f"{VARIABLE} target_window=50",
    "variable exponential": "target_schedule=exponential_moving_average",
    "relaxed": "relax_epochs=1",
    "noise off": "sample_epochs=2",
    "output filters dependent": "gated=output_filters",
    "output filters independent": "gated=output_filters gate=independent",
    "inner filters dependent": "gated=inner_filters",
    "inner filters independent": "gated=inner_filters gate=independent",
}
HEADERS = (
    "",
    "flags",
    "top-1 error %",
    "stochastic %",
    "rate",
    "M multiply-adds",
    "of ungated",
    "collapsed",
    "sampled rate of each gate",
    "CPU s",
)


def main():
    names = ONLY.value or list(TECHNIQUES)
    unknown = sorted(set(names) - set(TECHNIQUES))
    if unknown:
        raise UserError(f"--only names techniques: {', '.join(TECHNIQUES)}. Received: {unknown}.")
    runs = {name: settings(TECHNIQUES[name], flags.FLAGS.seed) for name in names}
    done = train(list(runs.values()), JOBS.value)
    rows = [line(name, done[runs[name].output_dir]) for name in names]
    print(f"\n{hardware()}, seed {flags.FLAGS.seed}:\n\n{table(rows, HEADERS)}")


def line(name, row):
    """Returns the line of a technique: figures of its own policy, sampled rates of the gates."""
    options = " ".join(f"--{option}" for option in TECHNIQUES[name].split())
    rates = " ".join(f"{rate:.2f}"[-3:] if rate < 0.995 else "1" for rate in row["gate_rates"])
    return [
        name,
        f"`{options}`" if options else "",
        *figures([row]).values(),
        rates,
        "" if row["cpu_seconds"] is None else f"{row['cpu_seconds']:.0f}",
    ]


if __name__ == "__main__":
    command.run(main)
