"""Shows what can be gated in a Keras model, and gates it.

    python -m tfgates.tools.gate --model=mine.keras
    python -m tfgates.tools.gate --model=keras:MobileNetV2 --where='block_1*' --output=gated.keras

Prints the branches with their multiply-adds, and why each other sum has none; writes the gated
model and a picture of it. `python train.py --network=model:mine.keras` gates and trains in one go.
"""

import pathlib

import keras
from absl import flags

from tfgates.base import command
from tfgates.base.code import import_file
from tfgates.base.errors import UserError
from tfgates.gates import GATES
from tfgates.graph.branches import branches
from tfgates.graph.count import count, count_parameters
from tfgates.graph.gating import gate
from tfgates.graph.rebuilding import of_shape
from tfgates.network import num_gates
from tfgates.networks.applications import APPLICATIONS, application
from tfgates.networks.own import load_model
from tfgates.report import chain
from tfgates.report.style import save_png

MODEL = flags.DEFINE_string(
    "model",
    None,
    "The model: a .keras file of a functional Keras model, or keras:NAME of keras.applications.",
    required=True,
)
CODE = flags.DEFINE_string("code", "", "Python file that registers layers of your own.")
GATE = flags.DEFINE_enum("gate", "dependent", list(GATES), "Whether gates look at the features.")
WHERE = flags.DEFINE_list(
    "where", [], "Names of branches, or patterns of them as 'block_1*'; empty: all branches."
)
UNITS = flags.DEFINE_integer("units", 16, "Width of dependent gates.", lower_bound=1)
IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", 224, "Height and width of the images, where the model leaves them open."
)
SEED = flags.DEFINE_integer("seed", 1, "Seed of the noise and of new weights.", lower_bound=0)
OUTPUT = flags.DEFINE_string(
    "output", None, "The gated model; by default beside the model, with -gated in its name."
)

flags.register_validator("model", bool, "is a .keras file, as mine.keras, or keras:NAME.")
flags.register_validator(
    "output",
    lambda path: path is None or pathlib.Path(path).suffix == ".keras",
    "is a file that ends in .keras, as gated.keras.",
)

OF_KERAS = "keras:"


def main():
    keras.utils.set_random_seed(SEED.value)
    model, output = load(), output_path()
    try:
        found = branches(model)
        print(f"{model.name}, {count_parameters(model):,} parameters\n\n{found}\n", flush=True)
        options = {"units": UNITS.value} if GATE.value == "dependent" else {}
        where = WHERE.value or None
        network = gate(model, GATE.value, where, seed=SEED.value, **options)
    except (ValueError, TypeError) as error:
        raise UserError(f"--model={MODEL.value}: {error}") from error
    network.save(output)
    fixed = of_shape(network, (None, *image_shape(network)))
    costs = count(fixed)
    links = chain.links(fixed, image_shape(network), [1.0] * num_gates(network))
    save_png(chain.draw(links, "all gates open").figure, output.with_suffix(".png"))
    least = costs.executed([0] * num_gates(network))
    print(
        f"{num_gates(network)} gates: {least / 1e6:,.2f} M multiply-adds with every gate closed, "
        f"{costs.ungated / 1e6:,.2f} M without gates.\n"
        f"Written: {output}, {output.with_suffix('.png')}"
    )


def load():
    """Reads the model.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    import_file(CODE.value)
    if not MODEL.value.startswith(OF_KERAS):
        return load_model(MODEL.value)
    name = MODEL.value.removeprefix(OF_KERAS)
    if name not in APPLICATIONS:
        raise UserError(
            f"--model=keras:NAME names a network of keras.applications with branches: "
            f"{', '.join(APPLICATIONS)}. Received: {MODEL.value}."
        )
    return application(name, 1000, (IMAGE_SIZE.value, IMAGE_SIZE.value, 3))


def output_path():
    """Returns the path of the gated model, which is no file yet.

    Raises:
        UserError: it is there already, or cannot be.
    """
    name = MODEL.value.removeprefix(OF_KERAS)
    path = pathlib.Path(OUTPUT.value or pathlib.Path(name).with_suffix(""))
    if OUTPUT.value is None:
        path = path.with_name(f"{path.name}-gated.keras")
    if path.exists():
        raise UserError(f"--output is a new file. Received: {path}, which exists. Name another.")
    if not path.parent.is_dir():
        raise UserError(f"--output={path} is in no folder. Make {path.parent} first.")
    return path


def image_shape(network):
    """Returns the shape of an image of the network, (H, W, C)."""
    return tuple(size or IMAGE_SIZE.value for size in network.inputs[0].shape[1:])


if __name__ == "__main__":
    command.run(main)
