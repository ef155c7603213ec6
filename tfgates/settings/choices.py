"""What flags offer by name, of modules that import Keras; flags are read before they are.

tests/settings/choices_test.py holds each of these beside what it names.
"""

GATES = ("dependent", "independent")
GATED = ("branches", "output_filters", "inner_filters")
PATHS = ("full", "short")
TARGET_LOSSES = ("per_batch", "per_gate")
PENALTIES = ("quadratic", "constant_quadratic", "reversed_quadratic")
TARGET_SCHEDULES = ("constant", "annealed", "moving_average", "exponential_moving_average")
# A target weight that finds itself; a teacher that is the network itself.
AUTO, SELF = "auto", "self"

RESIZES = ("square", "shorter_side", "stretch")
STATISTICS = ("imagenet", "raw", "unit", "symmetric", "cifar10")
WINDOWS = ("crop_flip", "resized_crop_flip", "flip", "none")
MIXES = ("mixup", "cutmix")

# Of each network, the number of its branches, each of which may have a gate.
NUM_BRANCHES = {
    "resnet18": 8,
    "resnet34": 16,
    "resnet50": 16,
    "resnet101": 33,
    "resnet152": 50,
    **{f"cifar_resnet{depth}": (depth - 2) // 2 for depth in (8, 14, 20, 32, 56, 110)},
    **{f"cifar_densenet{depth}": (depth - 4) // 2 for depth in (16, 40, 100)},
}
NETWORKS = tuple(NUM_BRANCHES)
# Of each network, the filters of its narrowest layers, which divide those of all others.
NARROWEST = {
    name: {"resnet": 64, "cifar_resnet": 16, "cifar_densenet": 12}[name.rstrip("0123456789")]
    for name in NETWORKS
}
# Of networks of dense blocks, the number of those that others follow.
BLOCK_EXITS = {name: 2 for name in NETWORKS if name.startswith("cifar_densenet")}
APPLICATIONS = (
    *("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"),
    *("MobileNetV2", "Xception", "InceptionResNetV2", "NASNetMobile", "NASNetLarge"),
    *("DenseNet121", "DenseNet169", "DenseNet201"),
    *(f"EfficientNetB{number}" for number in range(8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    *("MobileNetV3Small", "MobileNetV3Large"),
)

SKIPS = ("loop", "gather", "none")
DEVICES = ("cpu", "gpu")
WEIGHTS = ("const", "variables")
DECODERS = ("robust", "strict")
