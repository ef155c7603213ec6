"""Shows what can be gated in a model, and gates it."""

import pathlib

import keras
from absl import flags

from tfgates.base.code import import_file
from tfgates.base.errors import UserError
from tfgates.graph.branches import branches
from tfgates.graph.count import count, count_parameters
from tfgates.graph.gating import gate
from tfgates.graph.rebuilding import of_shape
from tfgates.network import num_gates
from tfgates.networks.applications import APPLICATIONS, application
from tfgates.networks.own import load_model
from tfgates.report import chain
from tfgates.report.style import save_png

FLAGS = flags.FLAGS

OF_KERAS = "keras:"


def main():
    keras.utils.set_random_seed(FLAGS.seed)
    model, output = load(), output_path()
    try:
        found = branches(model)
        print(f"{model.name}, {count_parameters(model):,} parameters\n\n{found}\n", flush=True)
        options = {"units": FLAGS.units} if FLAGS.gate == "dependent" else {}
        where = FLAGS.where or None
        network = gate(model, FLAGS.gate, where, seed=FLAGS.seed, **options)
    except (ValueError, TypeError) as error:
        raise UserError(f"--model={FLAGS.model}: {error}") from error
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
    import_file(FLAGS.code)
    if not FLAGS.model.startswith(OF_KERAS):
        return load_model(FLAGS.model)
    name = FLAGS.model.removeprefix(OF_KERAS)
    if name not in APPLICATIONS:
        raise UserError(
            f"--model=keras:NAME names a network of keras.applications with branches: "
            f"{', '.join(APPLICATIONS)}. Received: {FLAGS.model}."
        )
    return application(name, 1000, (FLAGS.image_size, FLAGS.image_size, 3))


def output_path():
    """Returns the path of the gated model, which is no file yet.

    Raises:
        UserError: it is there already, or cannot be.
    """
    name = FLAGS.model.removeprefix(OF_KERAS)
    path = pathlib.Path(FLAGS.output or pathlib.Path(name).with_suffix(""))
    if FLAGS.output is None:
        path = path.with_name(f"{path.name}-gated.keras")
    if path.exists():
        raise UserError(f"--output is a new file. Received: {path}, which exists. Name another.")
    if not path.parent.is_dir():
        raise UserError(f"--output={path} is in no folder. Make {path.parent} first.")
    return path


def image_shape(network):
    """Returns the shape of an image of the network, (H, W, C)."""
    return tuple(size or FLAGS.image_size for size in network.inputs[0].shape[1:])
