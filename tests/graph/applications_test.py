"""Networks of `keras.applications`, the first half: see `ApplicationChecks`."""

import pytest
from application_checks import Application, ApplicationChecks

# Keras's module; branches, their share of the multiply-adds, the names of the first and last one.
EXPECTED = {
    "ResNet50": ("resnet", 16, 0.876, "conv2_block1", "conv5_block3"),
    "ResNet50V2": ("resnet_v2", 16, 0.862, "conv2_block1", "conv5_block3"),
    "MobileNetV2": ("mobilenet_v2", 10, 0.516, "block_2", "block_15"),
    "EfficientNetB0": ("efficientnet", 9, 0.564, "block2b", "block6d"),
    "DenseNet121": ("densenet", 58, 0.849, "conv2_block1", "conv5_block16"),
}


@pytest.fixture(scope="module", params=EXPECTED)
def case(request):
    return Application(request.param), EXPECTED[request.param]


class TestApplications(ApplicationChecks):
    pass
