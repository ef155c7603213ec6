"""tools.gate: what it prints, the model and the picture it writes, what it refuses."""

import pathlib
import re

import keras
import numpy as np
import own_models as models
import pytest
from examples import own_lines
from processes import forked

from tfgates.network import Network, gates
from tfgates.policies import AlwaysOpen

GATE = ("-m", "tfgates.tools.gate")
PNG = b"\x89PNG\r\n\x1a\n"


def save(build, folder):
    path = folder / f"{build.__name__}.keras"
    build().save(path)
    return path


def test_a_model_of_ones_own_is_gated(tmp_path):
    path = save(models.dense, tmp_path)
    done = forked(*GATE, f"--model={path}", "--where=layer_1,layer_2", "--units=4")
    assert done.returncode == 0, done.stderr
    assert "layer_1           27,648   28.5 %" in done.stdout
    assert "3 branches, 85.5 % of the multiply-adds" in done.stdout
    network = keras.saving.load_model(tmp_path / "dense-gated.keras")
    assert isinstance(network, Network)
    assert [layer.name for layer in gates(network)] == ["layer_1", "layer_2"]
    assert [layer.gate.units for layer in gates(network)] == [4, 4]
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    plain = keras.saving.load_model(path)
    opened = network(images, policy=AlwaysOpen())["logits"]
    np.testing.assert_array_equal(opened, plain(images))
    assert (tmp_path / "dense-gated.png").read_bytes().startswith(PNG)
    # A second time would write over it.
    again = forked(*GATE, f"--model={path}")
    assert again.returncode == 2
    assert "--output is a new file" in own_lines(again.stderr)[-1]


def test_layers_of_ones_own_come_from_a_file(tmp_path):
    path = save(models.custom, tmp_path)
    refused = forked(*GATE, f"--model={path}")
    assert refused.returncode == 2
    assert "--code=FILE.py" in own_lines(refused.stderr)[-1]
    code = pathlib.Path(models.__file__)
    done = forked(*GATE, f"--model={path}", f"--code={code}", f"--output={tmp_path / 'g.keras'}")
    assert done.returncode == 0, done.stderr
    assert "1 gates: " in done.stdout


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("no.keras", "A model of your own is a .keras file. Received: no.keras"),
        ("keras:VGG16", "network of keras.applications with branches: .*Received: keras:VGG16"),
    ],
)
def test_what_cannot_be_gated_is_refused_in_one_line(tmp_path, model, message):
    refused = forked(*GATE, f"--model={model}", f"--output={tmp_path / 'g.keras'}")
    assert refused.returncode == 2
    assert re.search(message, own_lines(refused.stderr)[-1])
    assert list(tmp_path.iterdir()) == []
