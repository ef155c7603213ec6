"""A training that diverges: noticed without waiting for every step, and never written down."""

import keras
import pytest
from examples import small_network
from trained import batches, compiled

from tfgates.base.errors import UserError
from tfgates.training import checkpoint
from tfgates.training.callbacks import StopAtDivergence

STEPS = 5


class Loss:
    """The loss of a step on a device, which to read is to wait for it."""

    def __init__(self, value):
        self.value, self.reads = value, 0

    def __float__(self):
        self.reads += 1
        return self.value


def reads_of(losses, steps):
    """Shows a callback that looks every tenth step the losses of an epoch; returns their reads."""
    callback = StopAtDivergence(every=10)
    callback.set_params({"steps": steps})
    callback.on_epoch_begin(2)
    for batch, loss in enumerate(losses):
        callback.on_train_batch_end(batch, {"loss": loss})
    return [index + 1 for index, loss in enumerate(losses) if loss.reads]


def test_the_loss_is_read_every_few_steps_and_at_the_last_one():
    assert reads_of([Loss(0.5) for _ in range(37)], steps=37) == [10, 20, 30, 37]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_epoch_at_the_next_look(value):
    # The loss of a step is the mean of the epoch so far: it stays no number.
    losses = [Loss(0.5) for _ in range(12)] + [Loss(value) for _ in range(25)]
    with pytest.raises(UserError, match=rf"loss became {value} by step 20 of epoch 3.*--learning"):
        reads_of(losses, steps=37)
    assert [index + 1 for index, loss in enumerate(losses) if loss.reads] == [10, 20]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (STEPS + 1, f"The loss became .* by step {STEPS} of epoch 2"),
        # The loss of a step is that before its update.
        (2 * STEPS - 1, "The val_loss became .* at the end of epoch 2"),
    ],
    ids=["within the epoch", "by its last update"],
)
def test_the_checkpoint_of_a_diverged_epoch_is_never_written(tmp_path, step, words):
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([step - 1], [0.01, 1e30])
    classifier = compiled(small_network(), rate)
    with pytest.raises(UserError, match=words):
        classifier.fit(
            batches(STEPS),
            epochs=3,
            validation_data=batches(1),
            verbose=0,
            callbacks=[StopAtDivergence(), checkpoint.Checkpoint(tmp_path, tmp_path / "log.csv")],
        )
    assert list(checkpoint.files(tmp_path)) == [1]
