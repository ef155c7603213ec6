"""The flags of what is trained: data, augmentation, network, gates."""

from tfgates.settings.choices import (
    APPLICATIONS,
    GATED,
    GATES,
    MIXES,
    NETWORKS,
    RESIZES,
    STATISTICS,
    WINDOWS,
)
from tfgates.settings.flag import Flag
from tfgates.settings.network import RULE, is_known

LEARNED = {"gate": GATES}

DATA = (
    Flag(
        "dataset",
        "string",
        "fashion_mnist_13k",
        "Image classification set: any of tensorflow-datasets, such as cifar10 or imagenet2012; "
        "fashion_mnist_13k, which ships with tfgates; or folder:PATH, with a sub-folder of "
        "pictures for each class.",
    ),
    Flag(
        "data_dir",
        "string",
        "",
        "Folder of the prepared data sets; empty: that of tensorflow-datasets.",
        resumes=True,
    ),
    Flag(
        "output_dir",
        "string",
        "runs/default",
        "The run folder; one with a run is resumed.",
        valid=bool,
        rule="is a folder, as runs/NAME",
        resumes=True,
    ),
    Flag(
        "image_size",
        "integer",
        32,
        "Height and width of the network's input, in pixels.",
        valid=lambda value: 8 <= value <= 1024,
        rule="is from 8 to 1024 pixels",
    ),
    Flag(
        "resize",
        "enum",
        "square",
        "How an image is fitted, in evaluation and serving: its central square scaled to the "
        "input (a smaller image is padded); its shorter side scaled to 256/224 of it, or the "
        "image stretched to 256/224 of it, and the centre cut out.",
        choices=RESIZES,
    ),
    Flag(
        "statistics",
        "enum",
        "auto",
        "Mean and std with which the network standardizes pixels: measured on the training "
        "images, or the published ones; auto: those of --init_from or --network=run:PATH, else "
        "measured. For --network=model:PATH, what the model takes: raw pixels from 0 to 255, unit "
        "from 0 to 1, symmetric from -1 to 1, or standardized by one of the others.",
        choices=("auto", "measured", *STATISTICS),
    ),
    Flag("augment", "enum", "crop_flip", "Training augmentation.", choices=WINDOWS),
    Flag(
        "rand_augment",
        "float",
        0.0,
        "Magnitude of RandAugment; 0: off.",
        valid=lambda value: 0 <= value <= 1,
        rule="is a magnitude in [0, 1], as 0.3",
    ),
    Flag("mix", "enum", "none", "Mixing of the images of a batch.", choices=("none", *MIXES)),
)

NETWORK = (
    Flag(
        "network",
        "string",
        "cifar_resnet20",
        f"The network: {', '.join(NETWORKS)}; keras:NAME, one of keras.applications that has "
        f"branches: {', '.join(APPLICATIONS)}; model:PATH, a functional Keras model of your own, "
        "weights and all; or run:PATH, that of another run folder, weights and all, to train it "
        "further as tools.prune has left it.",
        valid=is_known,
        rule=RULE,
    ),
    Flag(
        "init_from",
        "string",
        "",
        "Initial weights: torchvision:PATH (a .pth or .safetensors file), imagenet (downloads "
        "TorchVision's; for keras:NAME Keras's own), keras:PATH (such a file of Keras), or another "
        "run folder; empty: random.",
    ),
    Flag(
        "code",
        "string",
        "",
        "Python file that registers layers of your own with Keras, for --network=model:PATH.",
    ),
    Flag(
        "fresh_weights",
        "boolean",
        False,
        "Of --network=run:PATH take the branches and gates alone, with new random weights.",
    ),
    Flag(
        "gate",
        "enum",
        "dependent",
        "Gates: dependent on the features, independent of them, with the fixed probabilities of "
        "stochastic depth, or none: the plain network; nested: no gates either, but a short path "
        "that skips half of the branches.",
        choices=(*GATES, "stochastic_depth", "none", "nested"),
    ),
    Flag(
        "gated",
        "enum",
        "branches",
        "What a gate decides on: a branch; groups of its output filters; or of the filters of the "
        "layer before, of which one group stays open.",
        choices=GATED,
        belongs=LEARNED,
    ),
    Flag(
        "where",
        "list",
        [],
        "Names of the branches that get a gate, or patterns of them as block_1*; empty: all. "
        "python -m tfgates.tools.gate lists them.",
        belongs=LEARNED,
        read=tuple,
    ),
    Flag(
        "filter_groups",
        "integer",
        4,
        "Groups of gated filters in a branch.",
        valid=lambda value: 2 <= value <= 1024,
        rule="is from 2 to 1024, as 4",
        belongs={"gated": ("output_filters", "inner_filters")},
    ),
    Flag(
        "last_probability",
        "float",
        0.5,
        "Of stochastic depth: the probability of the last branch (p_L).",
        # Nearer to 0 or 1 rounding makes one of those of the probabilities in between.
        valid=lambda value: 1e-6 <= value <= 1 - 1e-6,
        rule="is a probability from 1e-6 to 0.999999, as 0.5",
        belongs={"gate": ("stochastic_depth",)},
    ),
)
