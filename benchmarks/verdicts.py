"""What many runs say of the paper's claims: figures with their spread, and a verdict for each.

A verdict asks whether a mean over runs lies more than two standard errors away from 0: "holds" or
"fails", and "open" where it does not.
"""

import statistics

import numpy as np

from tfgates.report.labels import place
from tfgates.report.style import COLORS, MARKERS, new_figure, save_png, styled

PER_BATCH, PER_GATE = "per_batch", "per_gate"
KINDS = ("dependent", "independent")


def all_of(rows):
    """Returns a line for each claim: the claim, its figures, the verdict."""
    return [
        ("per-batch beats per-gate at equal multiply-adds", *per_batch_beats_per_gate(rows)),
        ("the threshold beats sampling by a little", *threshold_beats_sampling(rows)),
        ("per-batch collapses, per-gate does not", *per_batch_collapses(rows)),
        ("early blocks are dropped first", *early_blocks_go_first(rows)),
        ("a pruned network beats the same blocks trained anew", *pruned_beats_anew(rows)),
        ("at 60 % of the compute the error is that of the plain network", *as_good_as_plain(rows)),
    ]


def per_batch_beats_per_gate(rows):
    """Error of the per-gate runs less that of per-batch ones with as many multiply-adds.

    Between the per-batch runs of the same seed the error is interpolated over the multiply-adds; a
    per-gate run that takes more than any of them is compared with the dearest.
    """
    texts, found = [], []
    for kind in KINDS:
        gained = []
        for seed in sorted({row["seed"] for row in rows}):
            curve = sorted(
                (row["macs"], row["top1_error"])
                for row in _of(rows, f"{kind}, {PER_BATCH}")
                if row["seed"] == seed
            )
            for row in _of(rows, f"{kind}, {PER_GATE}"):
                if row["seed"] == seed and curve and curve[0][0] <= row["macs"]:
                    gained.append(
                        row["top1_error"] - np.interp(row["macs"], *zip(*curve, strict=True))
                    )
        texts.append(f"{kind}: per-gate errs by {_text(gained)} points more")
        found.append(_verdict(gained))
    return "; ".join(texts), " / ".join(found)


def threshold_beats_sampling(rows):
    """Error of stochastic inference less that of the threshold, run by run."""
    texts, found = [], []
    for kind in KINDS:
        gained = [
            row["stochastic_top1_error"] - row["top1_error"]
            for row in rows
            if row["gates"].startswith(f"{kind},")
        ]
        texts.append(f"{kind}: sampling errs by {_text(gained)} points more")
        found.append(_verdict(gained))
    return "; ".join(texts), " / ".join(found)


def per_batch_collapses(rows):
    """Share of collapsed gates with the per-batch loss less that with the per-gate loss."""
    texts, found = [], []
    for kind in KINDS:
        both = {
            loss: [row["collapsed"] for row in _of(rows, f"{kind}, {loss}")]
            for loss in (PER_BATCH, PER_GATE)
        }
        batch, gate = (100 * statistics.mean(both[loss]) for loss in (PER_BATCH, PER_GATE))
        texts.append(f"{kind}: {batch:.0f} % of the gates, per-gate {gate:.0f} %")
        found.append(_verdict(np.subtract(both[PER_BATCH], both[PER_GATE])))
    return "; ".join(texts), " / ".join(found)


def early_blocks_go_first(rows):
    """Mean rate of the later half of the gates less that of the first half, per-batch runs."""
    texts, found = [], []
    for kind in KINDS:
        gained = []
        for row in _of(rows, f"{kind}, {PER_BATCH}"):
            half = len(row["gate_rates"]) // 2
            first, last = row["gate_rates"][:half], row["gate_rates"][-half:]
            gained.append(statistics.mean(last) - statistics.mean(first))
        texts.append(f"{kind}: the later half has a rate higher by {_text(gained)}")
        found.append(_verdict(gained))
    return "; ".join(texts), " / ".join(found)


def pruned_beats_anew(rows):
    """Error of the same blocks trained anew less that of the pruned network, pair by pair."""
    pruned = {
        (row["target"], row["seed"]): row["top1_error"]
        for row in _of(rows, f"independent, {PER_BATCH}")
    }
    anew = _of(rows, "pruned blocks, trained anew")
    gained = [row["top1_error"] - pruned[row["target"], row["seed"]] for row in anew]
    return f"trained anew they err by {_text(gained)} points more", _verdict(gained)


def as_good_as_plain(rows):
    """Error of the plain network less that of per-batch runs at 50 to 70 % of its multiply-adds."""
    plain = {row["seed"]: row["top1_error"] for row in _of(rows, "plain")}
    texts, found = [], []
    for kind in KINDS:
        near = [row for row in _of(rows, f"{kind}, {PER_BATCH}") if 0.5 <= row["macs_share"] <= 0.7]
        lost = [row["top1_error"] - plain[row["seed"]] for row in near]
        share = 100 * statistics.mean(row["macs_share"] for row in near) if near else 0
        texts.append(f"{kind}, at {share:.0f} %: {_text(lost)} points more than plain")
        found.append(_verdict(np.negative(lost)))
    return "; ".join(texts), " / ".join(found)


def _of(rows, gates):
    return _with(rows, "gates", gates)


def _text(values):
    if len(values) < 2:
        return "(too few runs)"
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.2f} ± {error:.2f} ({len(values)} runs)"


def _verdict(values):
    if len(values) < 2:
        return "open"
    mean, error = statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5
    if abs(mean) <= 2 * error:
        return "open"
    return "holds" if mean > 0 else "fails"


@styled
def draw(rows, path):
    """Draws error against multiply-adds: the mean of the seeds, and each run as a small mark."""
    figure = new_figure(8, 5)
    axes = figure.subplots()
    points: list[tuple] = []
    texts: list[str] = []
    colors: list[str] = []
    for index, gates in enumerate(dict.fromkeys(row["gates"] for row in rows)):
        color = COLORS[index % len(COLORS)]
        own = _of(rows, gates)
        axes.plot(*_places(own), ls="", marker=".", ms=4, alpha=0.5, color=color)
        targets = dict.fromkeys(row["target"] for row in own)
        means = [
            [statistics.mean(values) for values in _places(_with(own, "target", target))]
            for target in targets
        ]
        line = sorted(means)
        marker = MARKERS[index // len(COLORS)]
        axes.plot(*zip(*line, strict=True), marker=marker, color=color, lw=1, label=gates)
        points += means
        texts += [str(target) for target in targets]
        colors += [color] * len(targets)
    axes.set(xlabel="million multiply-adds of a test image", ylabel="top-1 error, %")
    axes.margins(0.08)
    axes.grid(visible=True)
    figure.legend(loc="outside upper left", ncols=3)
    place(
        figure, axes, points, texts, colors, [(x, y) for x, y in zip(*_places(rows), strict=True)]
    )
    save_png(figure, path)


def _places(rows):
    return [row["macs"] / 1e6 for row in rows], [row["top1_error"] for row in rows]


def _with(rows, name, value):
    return [row for row in rows if row[name] == value]
