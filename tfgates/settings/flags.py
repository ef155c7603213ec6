"""The flags of a training run: names, defaults, ranges."""

from absl import flags

from tfgates.data.augment import WINDOWS
from tfgates.data.preprocess import RESIZES, STATISTICS
from tfgates.data.strong_augment import MIXES
from tfgates.gates import GATES
from tfgates.graph.gating import GATED
from tfgates.losses import PENALTIES, TARGET_LOSSES
from tfgates.networks import NETWORKS

GATE_KINDS = (*GATES, "stochastic_depth", "none")
from tfgates.settings.target_flags import TARGET_SCHEDULES

MANY = 10**7
UNITS = ("blocks", "multiply_adds")
# --network=run:PATH is the network of a run folder.
OF_RUN = "run:"
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def define_flags():
    """Defines the flags of `tfgates.settings.config.TrainConfig`."""
    _define_data_flags()
    _define_augmentation_flags()
    _define_method_flags()
    _define_target_flags()
    _define_schedule_flags()
    _define_optimizer_flags()
    _define_end_flags()
    _define_machine_flags()


def _define_data_flags():
    flags.DEFINE_string(
        "dataset",
        "fashion_mnist_13k",
        "Image classification set: any of tensorflow-datasets, such as cifar10 or imagenet2012; "
        "fashion_mnist_13k, which ships with tfgates; or folder:PATH, with a sub-folder of "
        "pictures for each class.",
    )
    flags.DEFINE_string(
        "data_dir", "", "Folder of the prepared data sets; empty: that of tensorflow-datasets."
    )
    flags.DEFINE_string("output_dir", "runs/default", "The run folder; one with a run is resumed.")
    _check("output_dir", bool, "is a folder, as runs/NAME")
    flags.DEFINE_integer("image_size", 32, "Height and width of the network's input, in pixels.")
    _check("image_size", lambda value: 8 <= value <= 1024, "is from 8 to 1024 pixels")
    flags.DEFINE_enum(
        "resize",
        "square",
        list(RESIZES),
        "How an image is fitted, in evaluation and serving: its central square scaled to the "
        "input (a smaller image is padded); its shorter side scaled to 256/224 of it, or the "
        "image stretched to 256/224 of it, and the centre cut out.",
    )
    flags.DEFINE_enum(
        "statistics",
        "auto",
        ["auto", "measured", *STATISTICS],
        "Mean and std with which the network standardizes pixels: measured on the training "
        "images, or the published ones; auto: those of --init_from or --network=run:PATH, else "
        "measured.",
    )


def _define_augmentation_flags():
    flags.DEFINE_enum("augment", "crop_flip", list(WINDOWS), "Training augmentation.")
    flags.DEFINE_float("rand_augment", 0.0, "Magnitude of RandAugment; 0: off.")
    _check("rand_augment", lambda value: 0 <= value <= 1, "is a magnitude in [0, 1], as 0.3")
    flags.DEFINE_enum("mix", "none", ["none", *MIXES], "Mixing of the images of a batch.")


def _define_method_flags():
    flags.DEFINE_string(
        "network",
        "cifar_resnet20",
        f"The network: {', '.join(NETWORKS)}; or run:PATH, that of another run folder, weights and "
        "all, to train it further as tools.prune has left it.",
    )
    _check(
        "network",
        lambda value: value in NETWORKS or value.startswith(OF_RUN),
        f"is {', '.join(NETWORKS)}, or run:PATH of a run folder",
    )
    flags.DEFINE_string(
        "init_from",
        "",
        "Initial weights: torchvision:PATH (a .pth or .safetensors file), imagenet (downloads "
        "TorchVision's), or another run folder; empty: random.",
    )
    flags.DEFINE_boolean(
        "fresh_weights",
        False,
        "Of --network=run:PATH take the blocks and gates alone, with new random weights.",
    )
    flags.DEFINE_enum(
        "gate",
        "dependent",
        list(GATE_KINDS),
        "Gates: dependent on the features, independent of them, with the fixed probabilities of "
        "stochastic depth, or none: the plain network.",
    )
    flags.DEFINE_enum(
        "gated",
        "branches",
        list(GATED),
        "What a gate decides on: a block; groups of the output filters of its branch; or of the "
        "filters of the layer before, of which one group stays open.",
    )
    flags.DEFINE_integer("filter_groups", 4, "Groups of gated filters in a block.")
    _check("filter_groups", lambda value: 2 <= value <= 1024, "is from 2 to 1024, as 4")
    flags.DEFINE_float(
        "last_probability", 0.5, "Of stochastic depth: the probability of the last block (p_L)."
    )
    _check("last_probability", lambda value: 0 < value < 1, "is a probability in (0, 1), as 0.5")


def _define_target_flags():
    flags.DEFINE_enum(
        "target_loss",
        "per_batch",
        list(TARGET_LOSSES),
        "Whether the batch as a whole or each gate is drawn to the target rate.",
    )
    flags.DEFINE_float("target_rate", 0.5, "Wanted share of executed blocks, in [0, 1].")
    _check(
        "target_rate",
        lambda value: 0 <= value <= 1,
        "is a share of executed blocks in [0, 1]; for 40 percent pass --target_rate=0.4",
    )
    flags.DEFINE_list(
        "block_targets",
        [],
        "A target rate for each block, separated by commas; t is --target_rate, and a block with "
        "target 1 is always open and has no gate. Empty: --target_rate for every block.",
    )
    flags.DEFINE_float("target_weight", 1.0, "Factor of the target loss (lambda).")
    _check("target_weight", lambda value: 0 <= value <= 1e6, "is from 0 to 1e6, as 1")
    flags.DEFINE_enum(
        "target_penalty",
        "quadratic",
        list(PENALTIES),
        "Of a rate away from its target: on both sides; above it only; or (reversed) below only.",
    )
    flags.DEFINE_enum(
        "target_unit",
        "blocks",
        list(UNITS),
        "What --target_rate is a share of: the blocks, or the multiply-adds behind the gates.",
    )


def _define_schedule_flags():
    flags.DEFINE_enum(
        "target_schedule",
        "constant",
        list(TARGET_SCHEDULES),
        "The target over training: constant; annealed from 1 down to --target_rate; or variable, "
        "a moving average of the rates of the last batches, which each epoch begins anew.",
    )
    flags.DEFINE_float("anneal_step", 0.05, "By how much annealing lowers the target at a time.")
    _check("anneal_step", lambda value: 0.001 <= value <= 1, "is from 0.001 to 1, as 0.05")
    flags.DEFINE_integer("anneal_epochs", 5, "Epochs of each target of annealing.")
    _check("anneal_epochs", lambda value: 1 <= value <= MANY, "is a number of epochs, as 5")
    flags.DEFINE_list(
        "anneal_targets",
        [],
        "The targets of annealing instead of --anneal_step, separated by commas, the last one "
        "--target_rate: 1,0.95,0.9,0.85,0.8.",
    )
    flags.DEFINE_integer("target_window", 1, "Batches of --target_schedule=moving_average.")
    _check("target_window", lambda value: 1 <= value <= MANY, "is a number of batches, as 10")
    flags.DEFINE_float("target_momentum", 0.9, "Of --target_schedule=exponential_moving_average.")
    _check("target_momentum", lambda value: 0 <= value < 1, "is in [0, 1), as 0.9")
    flags.DEFINE_integer(
        "relax_epochs", 0, "Epochs in which the per-gate loss gives way to the per-batch loss."
    )
    _check("relax_epochs", lambda value: 0 <= value <= MANY, "is 0 or a number of epochs, as 10")
    flags.DEFINE_integer(
        "sample_epochs", 0, "Epochs after which the noise of the gates is off; 0: never."
    )
    _check("sample_epochs", lambda value: 0 <= value <= MANY, "is 0 or a number of epochs, as 30")


def _define_optimizer_flags():
    flags.DEFINE_integer("epochs", 350, "Epochs of the whole run.")
    _check("epochs", lambda value: 1 <= value <= MANY, f"is at least 1, at most {MANY}")
    flags.DEFINE_integer("batch_size", 256, "Images of a batch, over all replicas.")
    _check("batch_size", lambda value: 2 <= value <= MANY, "is at least 2, for batch norm")
    flags.DEFINE_integer("steps_per_epoch", 0, "Batches of an epoch; 0: the whole training split.")
    _check("steps_per_epoch", lambda value: 0 <= value <= MANY, "is 0 or the number of batches")
    flags.DEFINE_float("learning_rate", 0.1, "Learning rate before the first decay.")
    _check("learning_rate", lambda value: 0 < value <= 1e6, "is a number above 0, as 0.1")
    flags.DEFINE_boolean(
        "linear_scaling", False, "--learning_rate is that of 256 images a batch, and grows with it."
    )
    flags.DEFINE_integer(
        "warmup_epochs", 0, "Epochs in which the learning rate grows from 0, step by step."
    )
    _check("warmup_epochs", lambda value: 0 <= value <= MANY, "is 0 or a number of epochs, as 5")
    flags.DEFINE_list(
        "decay_epochs",
        ["150", "250"],
        "Epochs after which the learning rate is multiplied by 0.1, separated by commas.",
    )
    flags.DEFINE_float("momentum", 0.9, "Momentum of SGD, in [0, 1).")
    _check("momentum", lambda value: 0 <= value < 1, "is in [0, 1), as 0.9")
    flags.DEFINE_float("weight_decay", 5e-4, "Weight decay.")
    _check("weight_decay", lambda value: 0 <= value <= 1, "is in [0, 1], as 1e-4")
    flags.DEFINE_enum(
        "decayed",
        "all",
        ["all", "kernels"],
        "Which weights decay: all, or kernels alone, not batch norm, biases and log-odds.",
    )


def _define_end_flags():
    flags.DEFINE_integer(
        "recalibration_batches",
        0,
        "Batches on which the moments of batch norm are measured again after training; 0: none. "
        "The paper takes 200.",
    )
    _check("recalibration_batches", lambda value: 0 <= value <= MANY, "is 0 or a number, as 200")
    flags.DEFINE_integer("recalibration_batch_size", 1024, "Images of such a batch.")
    _check("recalibration_batch_size", lambda value: 2 <= value <= MANY, "is at least 2")
    flags.DEFINE_enum(
        "keep",
        "last",
        ["last", "best"],
        "Which epoch becomes the model: the last, or the one with the best validation accuracy.",
    )


def _define_machine_flags():
    # No enum: `make_strategy` knows the names, and why it refuses others.
    flags.DEFINE_string(
        "strategy",
        "auto",
        "Devices: one; mirrored on several; auto: mirrored where there are several GPUs; "
        "multiworker: several hosts, see docs/several_hosts.md.",
    )
    flags.DEFINE_integer(
        "replicas",
        0,
        "Devices of --strategy=mirrored; 0: every GPU. Without GPUs the CPU is divided.",
    )
    _check("replicas", lambda value: 0 <= value <= 64, "is from 0 to 64")
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "Keras dtype policy.")
    flags.DEFINE_integer("seed", 1, "Seed of weights, noise, order and augmentation.")
    _check("seed", lambda value: 0 <= value < 2**31, "is in [0, 2^31)")
    flags.DEFINE_boolean(
        "deterministic", False, "Same numbers in every run on this machine; slower on GPUs."
    )


def _check(name, valid, rule):
    flags.register_validator(name, valid, f"{rule}.")
