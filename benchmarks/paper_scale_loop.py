"""The loop of benchmarks/paper_scale.py: epochs in JAX, with all images on the device."""

import functools

import jax
import keras
import numpy as np
from jax import numpy as jnp

import tfgates
from tfgates.graph.count import count
from tfgates.network import columns, num_gates
from tfgates.settings.target_values import annealing_stages

TARGET, WEIGHT_DECAY, MOMENTUM, LEARNING_RATE = 0.5, 5e-4, 0.9, 0.1
# Mean and std of the pixels of CIFAR-10, in [0, 1].
MEAN, STD = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
EVALUATED = 500


class Training:
    """A run: its network, its state, and the compiled functions that change it.

    Args:
        network: name in `tfgates.NETWORKS`.
        name: of the run, GATE-LOSS, or none.
        data: by "train" and "test", pixels uint8 [N, H, W, 3] and labels [N].
        epochs, batch_size, seed: of the run.

    Attributes:
        state: dict of what a run that was broken off goes on with.
    """

    def __init__(self, network, name, data, epochs, batch_size, seed):
        keras.utils.set_random_seed(seed)
        gate, _, loss = name.partition("-")
        images, labels = data["train"]
        # Its own standardization is a layer of Keras that asks for TensorFlow.
        model = tfgates.NETWORKS[network](10, images.shape[1:])
        self.model = model if gate == "none" else tfgates.gate(model, gate, seed=seed)
        self.parts, self.size = columns(self.model), num_gates(self.model)
        self.cost = count(self.model)
        scope = "per_gate" if loss == "per_gate" else "per_batch"
        self.target = tfgates.Target(TARGET, scope)
        # A twentieth less at a time, in the first half of the training.
        self.stages = annealing_stages(TARGET, 0.05) if loss == "annealed" else (TARGET,)
        self.epochs, self.seed = epochs, seed
        self.data = {name: tuple(map(jnp.asarray, part)) for name, part in data.items()}
        self.steps = len(labels) // batch_size
        self.batch_size = batch_size
        weights = [one.value for one in self.model.trainable_variables]
        self.state = {
            "weights": weights,
            "fixed": [one.value for one in self.model.non_trainable_variables],
            "velocity": [jnp.zeros_like(one) for one in weights],
            "epoch": 0,
            "seconds": 0.0,
            "results": [],
        }
        self._epoch = jax.jit(self._train_epoch)
        self._answers = jax.jit(self._evaluate, static_argnames="sampled")

    def run_epoch(self):
        """Trains an epoch, and evaluates the network on the test images."""
        epoch = self.state["epoch"]
        passed = sum(epoch >= share * self.epochs for share in (3 / 7, 5 / 7))
        rate = LEARNING_RATE * 0.1**passed
        length = max(1, self.epochs // (2 * len(self.stages)))
        target = self.stages[min(epoch // length, len(self.stages) - 1)]
        key = jax.random.fold_in(jax.random.key(self.seed), epoch)
        carried = tuple(self.state[name] for name in ("weights", "fixed", "velocity"))
        carried, losses = self._epoch(carried, *self.data["train"], key, rate, target)
        self.state |= dict(zip(("weights", "fixed", "velocity"), map(_numpy, carried), strict=True))
        self.state["epoch"] += 1
        found = {"loss": float(losses.mean()), "target": target}
        for policy, sampled in (("threshold", False), ("stochastic", True)):
            error, rates = self._test(key, sampled)
            found[f"{policy}_error"], found[f"{policy}_rates"] = error, rates
        self.state["results"].append(found)

    def log(self):
        """A line on the last epoch."""
        last = self.state["results"][-1]
        rates = last["threshold_rates"]
        return (
            f"epoch {self.state['epoch']} of {self.epochs}, loss {last['loss']:.3f}, target "
            f"{last['target']:g}, rate {np.mean(rates) if len(rates) else 1:.3f}, errors "
            f"{last['threshold_error']:.2f} % and {last['stochastic_error']:.2f} % sampled, "
            f"{self.state['seconds']:.0f} s"
        )

    def row(self):
        """The row of the finished run; the best epoch is chosen on the test images, as in S5.1."""
        results = self.state["results"]
        rates = results[-1]["threshold_rates"]
        found = {"device": jax.devices()[0].device_kind, "epochs": self.epochs, "seed": self.seed}
        for policy in ("threshold", "stochastic"):
            errors = [round(one[f"{policy}_error"], 3) for one in results]
            found |= {f"{policy}_error": errors[-1], f"best_{policy}_error": min(errors)}
        return {
            **found,
            "rate": round(float(np.mean(rates)), 4) if len(rates) else 1.0,
            "macs_share": round(float(self.cost.executed(rates)) / self.cost.ungated, 4),
            "seconds": round(self.state["seconds"]),
        }

    def _train_epoch(self, carried, images, labels, key, rate, target):
        order = jax.random.permutation(key, len(labels))[: self.steps * self.batch_size]
        batches = order.reshape(self.steps, self.batch_size)
        keys = jax.random.split(jax.random.fold_in(key, 1), self.steps)

        def step(carried, given):
            indices, key = given
            crop, noise = jax.random.split(key)
            batch = augmented(images[indices], crop)
            return self._step(carried, batch, labels[indices], noise, rate, target)

        return jax.lax.scan(step, carried, (batches, keys))

    def _step(self, carried, images, labels, key, rate, target):
        weights, fixed, velocity = carried

        def loss(weights, fixed):
            outputs, fixed = self.model.stateless_call(
                weights, fixed, images, training=True, **self._sampled(key, len(labels))
            )
            logits, decisions = _both(outputs)
            log_p = jax.nn.log_softmax(logits)
            total = -log_p[jnp.arange(len(labels)), labels].mean()
            if self.size:
                total += self.target.loss(decisions.mean(axis=0), target)
            return total, fixed

        (value, fixed), slopes = jax.value_and_grad(loss, has_aux=True)(weights, fixed)
        slopes = [one + WEIGHT_DECAY * own for one, own in zip(slopes, weights, strict=True)]
        velocity = [MOMENTUM * old + new for old, new in zip(velocity, slopes, strict=True)]
        weights = [own - rate * one for own, one in zip(weights, velocity, strict=True)]
        return (weights, fixed, velocity), value

    def _sampled(self, key, images):
        if not self.size:
            return {}
        draws = jax.random.logistic(key, (images, self.size))
        return {
            "policy": tfgates.Sample(draws={n: draws[:, part] for n, part in self.parts.items()})
        }

    def _evaluate(self, weights, fixed, images, key, sampled):
        policy = self._sampled(key, len(images)) if sampled else {}
        images = standardized(images)
        outputs, _ = self.model.stateless_call(weights, fixed, images, training=False, **policy)
        logits, decisions = _both(outputs)
        return logits.argmax(axis=-1), decisions.sum(axis=0)

    def _test(self, key, sampled):
        """Returns the error in percent, and the rates [G]."""
        images, labels = self.data["test"]
        wrong, opened = 0, 0.0
        for first in range(0, len(labels), EVALUATED):
            part = slice(first, first + EVALUATED)
            answers, of_part = self._answers(
                self.state["weights"],
                self.state["fixed"],
                images[part],
                jax.random.fold_in(key, first),
                sampled=sampled,
            )
            wrong += int((answers != labels[part]).sum())
            opened = opened + np.asarray(of_part, "float64")
        return 100.0 * wrong / len(labels), opened / len(labels)


def augmented(images, key):
    """Pads by four pixels, crops at random, mirrors half of the images; standardized."""
    where, mirror = jax.random.split(key)
    count, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    starts = jax.random.randint(where, (count, 2), 0, 9)
    cut = functools.partial(jax.lax.dynamic_slice, slice_sizes=(height, width, channels))
    crops = jax.vmap(lambda image, start: cut(image, (start[0], start[1], 0)))(padded, starts)
    mirrored = jax.random.bernoulli(mirror, shape=(count, 1, 1, 1))
    return standardized(jnp.where(mirrored, crops[:, :, ::-1], crops))


def standardized(images):
    """Raw pixels, 0-255, minus the mean, divided by the standard deviation; float32."""
    scale, offset = (1 / (255 * STD)).astype("float32"), (MEAN / STD).astype("float32")
    return images.astype("float32") * scale - offset


def _both(outputs):
    if isinstance(outputs, dict):
        return outputs["logits"], outputs["decisions"]
    return outputs, jnp.zeros((len(outputs), 0))


def _numpy(values):
    return [np.asarray(one) for one in values]
