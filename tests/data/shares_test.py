"""The batches of replicas and workers are shares of those of one process."""

import numpy as np
import pytest
import tensorflow as tf
from examples import PREPROCESSING

from tfgates.data import batches
from tfgates.data.augment import Augmentation
from tfgates.data.datasets import open_dataset


def whole_again(parts):
    """Puts batches of the shares of two workers together, image by image in turn."""
    of_workers = [[np.concatenate(pieces) for pieces in zip(*part, strict=True)] for part in parts]
    return [
        np.stack(values, axis=1).reshape(-1, *values[0].shape[1:])
        for values in zip(*of_workers, strict=True)
    ]


@pytest.mark.parametrize(("replicas", "mix"), [(2, "none"), (4, "none"), (4, "mixup")])
def test_the_shares_of_two_workers_are_the_batches_of_one_process(small_set, replicas, mix):
    dataset = open_dataset("my_set", str(small_set))
    shares = [tf.distribute.InputContext(2, index, replicas) for index in range(2)]

    def training(share):
        return batches.training_batches(
            dataset,
            PREPROCESSING,
            Augmentation("crop_flip", mix=mix),
            batch_size=32,
            steps_per_epoch=2,
            seed=3,
            first_epoch=0,
            epochs=2,
            share=share,
        )

    def validation(share):
        return batches.evaluation_batches(dataset, "validation", PREPROCESSING, 48, share=share)

    for make in (training, validation):
        whole = list(make(batches.WHOLE).as_numpy_iterator())
        parts = [list(make(share).as_numpy_iterator()) for share in shares]
        pieces = replicas // 2
        assert [len(part) for part in parts] == [len(whole) * pieces] * 2
        for step, batch in enumerate(whole):
            found = whole_again([part[step * pieces : (step + 1) * pieces] for part in parts])
            for ours, theirs in zip(found, batch, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_an_evaluation_batch_that_replicas_do_not_divide_is_rounded_up(small_set):
    dataset = open_dataset("my_set", str(small_set))
    share = tf.distribute.InputContext(num_replicas_in_sync=3)
    found = batches.evaluation_batches(dataset, "validation", PREPROCESSING, 50, share=share)
    sizes_and_images = [
        (len(labels), sum(weights)) for _, labels, weights in found.as_numpy_iterator()
    ]
    assert sizes_and_images == [(17, 17)] * 5 + [(17, 6)]
