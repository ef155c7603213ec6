"""Shows what can be gated in a Keras model, and gates it.

    python -m tfgates.tools.gate --model=mine.keras
    python -m tfgates.tools.gate --model=keras:MobileNetV2 --where='block_1*' --output=gated.keras

Prints the branches with their multiply-adds, and why each other sum has none; writes the gated
model and a picture of it. `python train.py --network=model:mine.keras` gates and trains in one go.
"""

import pathlib

from absl import flags

from tfgates.base import command
from tfgates.settings.choices import GATES

flags.DEFINE_string(
    "model",
    None,
    "The model: a .keras file of a functional Keras model, or keras:NAME of keras.applications.",
    required=True,
)
flags.DEFINE_string("code", "", "Python file that registers layers of your own.")
flags.DEFINE_enum("gate", "dependent", GATES, "Whether gates look at the features.")
flags.DEFINE_list(
    "where", [], "Names of branches, or patterns of them as 'block_1*'; empty: all branches."
)
flags.DEFINE_integer("units", 16, "Width of dependent gates.", lower_bound=1)
flags.DEFINE_integer(
    "image_size", 224, "Height and width of the images, where the model leaves them open."
)
flags.DEFINE_integer("seed", 1, "Seed of the noise and of new weights.", lower_bound=0)
flags.DEFINE_string(
    "output", None, "The gated model; by default beside the model, with -gated in its name."
)

flags.register_validator("model", bool, "is a .keras file, as mine.keras, or keras:NAME.")
flags.register_validator(
    "output",
    lambda path: path is None or pathlib.Path(path).suffix == ".keras",
    "is a file that ends in .keras, as gated.keras.",
)


if __name__ == "__main__":
    command.start("tfgates.actions.gate")
