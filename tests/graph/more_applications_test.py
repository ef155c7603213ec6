"""Networks of `keras.applications`, the second half: see `ApplicationChecks`."""

import keras
import pytest
from application_checks import Application, ApplicationChecks

from tfgates.networks.applications import APPLICATIONS, application

# Keras's module; branches, their share of the multiply-adds, the names of the first and last one.
EXPECTED = {
    "MobileNetV3Small": ("mobilenet_v3", 6, 0.464, "expanded_conv_2", "expanded_conv_10"),
    "EfficientNetV2B0": ("efficientnet_v2", 15, 0.725, "block2b", "block6h"),
    "Xception": ("xception", 12, 0.854, "block2", "block13"),
    "InceptionResNetV2": ("inception_resnet_v2", 40, 0.652, "block35_1", "block8_10"),
    "ConvNeXtTiny": (
        *("convnext", 18, 0.958),
        *("convnext_tiny_stage_0_block_0", "convnext_tiny_stage_3_block_2"),
    ),
}


@pytest.fixture(scope="module", params=EXPECTED)
def case(request):
    return Application(request.param), EXPECTED[request.param]


class TestMoreApplications(ApplicationChecks):
    pass


def test_a_network_by_name():
    network = application("MobileNetV3Small", 7, (32, 32, 3), synchronized=True)
    assert (network.name, network.input.name) == ("MobileNetV3Small", "images")
    assert network.output_shape == (None, 7)
    assert network.get_layer("classifier").activation is keras.activations.linear
    norms = [one for one in network.layers if isinstance(one, keras.layers.BatchNormalization)]
    assert norms
    assert all(one.synchronized for one in norms)


def test_a_network_without_branches_is_refused():
    with pytest.raises(ValueError, match=r"networks .* that have branches.* Received: 'VGG16'"):
        application("VGG16", 10)
    assert not set(APPLICATIONS) & {"VGG16", "VGG19", "InceptionV3", "MobileNet"}
