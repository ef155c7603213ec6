"""What flags offer by name is what there is; their modules do not import it."""

import pytest

from tfgates import losses, targets
from tfgates.data import augment, preprocess, strong_augment
from tfgates.export import decode, savedmodel, skipping
from tfgates.gates import GATES
from tfgates.graph import gating, nesting
from tfgates.networks import BLOCK_ENDS, NETWORKS
from tfgates.networks.applications import APPLICATIONS
from tfgates.settings import choices
from tfgates.settings.targets import TARGET_SCHEDULES
from tfgates.training import teacher

OF_THE_LIBRARY = {
    "GATES": GATES,
    "GATED": gating.GATED,
    "PATHS": nesting.PATHS,
    "TARGET_LOSSES": losses.TARGET_LOSSES,
    "PENALTIES": losses.PENALTIES,
    "TARGET_SCHEDULES": TARGET_SCHEDULES,
    "AUTO": targets.AUTO,
    "SELF": teacher.SELF,
    "RESIZES": preprocess.RESIZES,
    "STATISTICS": preprocess.STATISTICS,
    "WINDOWS": augment.WINDOWS,
    "MIXES": strong_augment.MIXES,
    "NETWORKS": NETWORKS,
    "APPLICATIONS": APPLICATIONS,
    "SKIPS": skipping.SKIPS,
    "DEVICES": skipping.DEVICES,
    "WEIGHTS": savedmodel.WEIGHTS,
    "DECODERS": decode.DECODERS,
    "BLOCK_EXITS": BLOCK_ENDS,
}


@pytest.mark.parametrize("name", OF_THE_LIBRARY)
def test_a_flag_offers_what_there_is(name):
    assert tuple(getattr(choices, name)) == tuple(OF_THE_LIBRARY[name])


def test_none_is_left_out():
    named = {name for name in vars(choices) if name.isupper()}
    # Of the branches and filters tests/method/network_test.py builds the networks.
    assert named == {*OF_THE_LIBRARY, "NUM_BRANCHES", "NARROWEST"}
