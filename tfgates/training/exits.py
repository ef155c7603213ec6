"""Exits in training: each classifier learns of every image, also of those that leave elsewhere."""

from tfgates.graph.unrolling import EXITS, unrolled
from tfgates.network import exits_of


class ExitTraining:
    """CE(answer) + w / (E + 1) sum over the exits and the end of CE(what they would answer).

    Where images leave early, the last classifier would see the few that do not, and learn too
    little. Deep supervision (Lee et al., 2015; MSDNet's training) shows all images to each.

    Args:
        network: functional model, with exits or without.
        weight: of the mean cross-entropy of the exits beside that of the answers, not negative (w);
            0 is the paper's training.

    Raises:
        ValueError: a negative weight.
    """

    def __init__(self, network, weight):
        if not weight >= 0:
            raise ValueError(f"`exit_weight` is not negative. Received: exit_weight={weight}.")
        self.weight = weight
        self.active = bool(weight and exits_of(network))
        # A model of the same layers, of which the classifier shall not know a second time.
        self.network = unrolled(network) if self.active else network

    def loss(self, loss, outputs, loss_of):
        """Adds the cross-entropies of the exits to that of the answers.

        Args:
            loss: of the answers.
            outputs: of `network`.
            loss_of: function of logits [B, K].
        """
        if not self.active:
            return loss
        logits = outputs[EXITS]
        places = range(logits.shape[1])
        return loss + self.weight * sum(loss_of(logits[:, one]) for one in places) / len(places)
