"""Early exits of a served network: their thresholds, its decisions, where an image has left."""

import tensorflow as tf

from tfgates.network import columns, exits_of, parents


class Leaving:
    """The gates of a network, of which some are decided for good, and its exits.

    Args:
        network: with all its gates.
        smaller: what the decisions that are made leave of it.
        fixed: those decisions, bool by column of the network.

    Attributes:
        exits: names of the exits, first to last.
    """

    def __init__(self, network, smaller, fixed):
        self.exits = [layer.name for layer in exits_of(network)]
        self.fixed, self._parents = fixed, parents(network)
        self._all, self._left = columns(network), columns(smaller)

    def thresholds(self, log_odds, exit_log_odds):
        """Returns the log-odds above which each gate that is left opens, [N] or [N, G].

        Args:
            log_odds, exit_log_odds: of layers and of exits, [N].
        """
        if not set(self.exits) & set(self._left):
            return log_odds
        of_gates = [
            exit_log_odds if name in self.exits else log_odds
            for name, part in self._left.items()
            for _ in range(part.start, part.stop)
        ]
        return tf.stack(of_gates, axis=1)

    def decisions(self, live, valid):
        """Puts the decisions that are made between those on the images.

        Args:
            live: of the gates that are left, bool [N, G].
            valid: whether an image is answered, bool [N].

        Returns:
            Of all gates, bool; false of those inside of one that is closed.
        """
        found = list[tf.Tensor]()
        for name, part in self._all.items():
            for column in range(part.start, part.stop):
                if column in self.fixed:
                    opened = valid & self.fixed[column]
                elif name in self._left:
                    opened = live[:, self._left[name].start + column - part.start]
                else:
                    opened = tf.zeros_like(valid)
                around = self._parents[column]
                found.append(opened if around is None else opened & found[around])
        return tf.stack(found, 1) if found else live

    def exit(self, decisions, valid):
        """Returns the number of the exit that has answered, from 1, int32 [N]; 0 where none has."""
        passed = [tf.cast(decisions[:, self._all[name].start], tf.int32) for name in self.exits]
        return tf.where(valid, 1 + tf.add_n(passed), 0)
