"""What many runs say of the paper's claims: figures with their spread, and a verdict for each.

Runs of one seed share their first weights and the order of the images: their mean is a single
observation. A verdict is "holds" or "fails" where the mean over the seeds differs from 0 with 95 %
confidence by Student's t, else "open". It is given twice: of each test alone, and after Holm's
correction of all of them together.
"""

import statistics

import numpy as np

from benchmarks.student import LEVEL, holm, probability

PER_BATCH, PER_GATE = "per_batch", "per_gate"
KINDS = ("dependent", "independent")
HEADERS = ("claim", "in the paper", "figures", "verdict", "after Holm")
# A gate is at its mode more than 99.9 % of the time, as the paper counts in 4.2.1.
STRICT = 0.001
# Points of error within which a network is as good as another one.
MARGIN = 0.3


def all_of(rows):
    """Returns a line for each claim, with the `HEADERS`."""
    claims = {
        ("per-batch beats per-gate at no more multiply-adds", "figure 4, S5"): _losses,
        ("the threshold beats sampling by a little", "4.1.2, S4"): _sampling,
        ("per-batch collapses, per-gate does not", "3.1.1, 4.2.1"): _collapse,
        ("early blocks are dropped first", "4.2.2, figure 7"): _early_blocks,
        (
            "a pruned network beats the same blocks trained anew",
            "a control of 3.1.1's “improved accuracy”",
        ): _pruned,
        (
            f"at a target rate of 0.6 it errs at most {MARGIN} points more than the plain network",
            "4.1.2, of ResNet-101",
        ): _beside_plain,
    }
    found = {
        (claim, kind): judged
        for claim, judge in claims.items()
        for kind in KINDS
        if (judged := judge(rows, kind))
    }
    alone = {key: _test(pairs) for key, (_, pairs) in found.items()}
    together = dict(zip(alone, holm([p for _, p in alone.values()]), strict=True))
    lines = []
    for claim in claims:
        mine = [key for key in found if key[0] == claim]
        lines.append(
            (
                *claim,
                "; ".join(f"{key[1]}: {found[key][0]}" for key in mine),
                " / ".join(verdict(*alone[key]) for key in mine),
                " / ".join(verdict(alone[key][0], together[key]) for key in mine),
            )
        )
    return lines


def verdict(mean, p):
    """Returns "holds", "fails" or "open", of a mean and the probability of one as far from 0."""
    if p > LEVEL:
        return "open"
    return "holds" if mean > 0 else "fails"


def _test(pairs):
    """The mean over the seeds, of pairs of seed and value, and its probability."""
    means = _of_seeds(pairs)
    return (statistics.mean(means) if means else 0.0), probability(means)


def _losses(rows, kind):
    """Error of the per-gate runs less that of per-batch ones with as many multiply-adds.

    Between the per-batch runs of the same seed the error is interpolated over the multiply-adds; a
    per-gate run that takes more than any of them is compared with the dearest, to its advantage.
    """
    gained, equal = [], 0
    for row in _of(rows, f"{kind}, {PER_GATE}"):
        curve = sorted(
            (one["macs"], one["top1_error"])
            for one in having(_of(rows, f"{kind}, {PER_BATCH}"), "seed", row["seed"])
        )
        if curve and curve[0][0] <= row["macs"]:
            of_batch = np.interp(row["macs"], *zip(*curve, strict=True))
            gained.append((row["seed"], row["top1_error"] - of_batch))
            equal += row["macs"] <= curve[-1][0]
    dearer = len(gained) - equal
    cheaper = len(_of(rows, f"{kind}, {PER_GATE}")) - len(gained)
    text = f"per-gate errs by {_text(gained)} points more, {equal} at equal cost, {dearer} dearer"
    return text + (f", {cheaper} cheaper ones left out" if cheaper else ""), gained


def _sampling(rows, kind):
    """Error of sampled gates less that of the threshold, per-batch runs.

    With independent gates and the per-gate loss the threshold runs blocks that sampling skips.
    """
    gained = [
        (row["seed"], row["stochastic_top1_error"] - row["top1_error"])
        for row in _of(rows, f"{kind}, {PER_BATCH}")
    ]
    return f"sampling errs by {_text(gained)} points more", gained


def _collapse(rows, kind):
    """Share of collapsed gates with the per-batch loss less that with the per-gate loss."""
    of_gate = _by_pair(rows, f"{kind}, {PER_GATE}", "collapsed")
    of_batch = _by_pair(rows, f"{kind}, {PER_BATCH}", "collapsed")
    batch, gate = (100 * statistics.mean(one.values()) for one in (of_batch, of_gate))
    strict = 100 * statistics.mean(
        rate < STRICT or rate > 1 - STRICT
        for row in _of(rows, f"{kind}, {PER_BATCH}")
        for rate in row["gate_rates"]
    )
    more = [(seed, share - of_gate[target, seed]) for (target, seed), share in of_batch.items()]
    text = f"{batch:.0f} % of the gates, {strict:.0f} % at 99.9 % of the images"
    return f"{text}, per-gate {gate:.0f} %", more


def _early_blocks(rows, kind):
    """Mean rate of the later half of the gates less that of the first half, per-batch runs."""
    gained = []
    for row in _of(rows, f"{kind}, {PER_BATCH}"):
        half = len(row["gate_rates"]) // 2
        first, last = row["gate_rates"][:half], row["gate_rates"][-half:]
        gained.append((row["seed"], statistics.mean(last) - statistics.mean(first)))
    return f"the later half has a rate higher by {_text(gained)}", gained


def _pruned(rows, kind):
    """Error of the same blocks trained anew less that of the pruned network, pair by pair."""
    if kind != "independent":
        return None
    pruned = _by_pair(rows, f"{kind}, {PER_BATCH}", "top1_error")
    gained = [
        (row["seed"], row["top1_error"] - pruned[row["target"], row["seed"]])
        for row in _of(rows, "pruned blocks, trained anew")
    ]
    lost = [(seed, -value) for seed, value in gained]
    return f"the pruned network errs by {_text(lost)} points more", gained


def _beside_plain(rows, kind):
    """Error of the per-batch runs at target 0.6 less that of the plain network of the same seed."""
    plain = {row["seed"]: row["top1_error"] for row in _of(rows, "plain")}
    near = having(_of(rows, f"{kind}, {PER_BATCH}"), "target", "0.6")
    lost = [(row["seed"], row["top1_error"] - plain[row["seed"]]) for row in near]
    share = 100 * statistics.mean(row["macs_share"] for row in near) if near else 0
    text = f"{_text(lost)} points more at {share:.0f} % of its multiply-adds"
    return text, [(seed, MARGIN - value) for seed, value in lost]


def _by_pair(rows, gates, name):
    return {(row["target"], row["seed"]): row[name] for row in _of(rows, gates)}


def _of_seeds(pairs):
    """The mean of each seed, of pairs of seed and value."""
    return [
        statistics.mean(value for one, value in pairs if one == seed)
        for seed in sorted({seed for seed, _ in pairs})
    ]


def _text(pairs):
    means = _of_seeds(pairs)
    if len(means) < 2:
        return "(too few seeds)"
    error, mean = statistics.stdev(means) / len(means) ** 0.5, statistics.mean(means)
    # Few seeds may agree by luck: how many runs say the same, too.
    alike = sum(value * mean > 0 for _, value in pairs)
    return f"{mean:.2f} ± {error:.2f} ({len(means)} seeds, {alike} of {len(pairs)} runs)"


def _of(rows, gates):
    return having(rows, "gates", gates)


def having(rows, name, value):
    """The rows with a value."""
    return [row for row in rows if row[name] == value]
