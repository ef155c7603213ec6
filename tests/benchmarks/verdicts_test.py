"""The verdicts on the paper's claims, on rows whose answers are known."""

import pytest

from benchmarks import runs_picture, verdicts


def rows():
    """Three seeds; per-gate errs by 1 point more than the line through the per-batch runs."""
    found = []
    for seed, offset in (("1", 0.0), ("2", 0.1), ("3", 0.2)):
        for kind in verdicts.KINDS:
            for target, macs in (("0.4", 4.0), ("0.6", 6.0)):
                base = 12.0 - macs / 2 + offset
                found += [
                    _row(f"{kind}, per_batch", target, seed, macs, base, [0.0, 1.0], 1.0),
                    _row(f"{kind}, per_gate", target, seed, 5.0, 10.5 + offset, [0.5, 0.5], 0.0),
                ]
        found.append(_row("plain", "", seed, 10.0, 9.0 + offset, [], None))
        for target, error in (("0.4", 9.0), ("0.6", 8.0)):
            found.append(
                _row("pruned blocks, trained anew", target, seed, 4.0, error + 2 * offset, [], None)
            )
    return found


def _row(gates, target, seed, macs, error, rates, collapsed):
    return {
        "gates": gates,
        "target": target,
        "seed": seed,
        "macs": macs,
        "macs_share": macs / 10,
        "top1_error": error,
        "stochastic_top1_error": error + (0.7 if seed == "3" else 0.5),
        "gate_rates": rates,
        "collapsed": collapsed,
    }


def test_each_claim_has_its_figures_and_verdict():
    batch, threshold, collapse, early, pruned, plain = verdicts.all_of(rows())
    seeds = "(3 seeds, 6 of 6 runs)"
    assert batch[2].startswith(
        f"dependent: per-gate errs by 1.00 ± 0.00 {seeds} points more, 6 at equal cost, 0 dearer;"
    )
    assert batch[3] == "holds / holds"
    # 0.5, 0.5, 0.7: the standard error is 0.2 / 3.
    assert f"sampling errs by 0.57 ± 0.07 {seeds} points more" in threshold[2]
    assert threshold[3] == "holds / holds"
    assert (
        "dependent: 100 % of the gates, 100 % at 99.9 % of the images, per-gate 0 %"
        in (collapse[2])
    )
    assert collapse[3] == "holds / holds"
    assert f"higher by 1.00 ± 0.00 {seeds}" in early[2]
    # The pruned one's less: 10 - 9, 10.1 - 9.2, 10.2 - 9.4, and the same at the other target.
    assert pruned[2] == f"independent: the pruned network errs by 0.90 ± 0.06 {seeds} points more"
    assert pruned[3] == "fails"
    # 9 - 9, 9.1 - 9.1, 9.2 - 9.2 at the target rate 0.6.
    assert "dependent: 0.00 ± 0.00 (3 seeds, 0 of 3 runs) points more at 60 %" in plain[2]
    assert plain[3] == "holds / holds"


def test_verdicts_are_corrected_for_the_number_of_tests():
    _, threshold, collapse, *_, pruned, _ = verdicts.all_of(rows())
    # Without spread a probability is 0, and stays so. The others are of t = 8.5 and -15.6 with two
    # degrees of freedom, p = 0.0136, 0.0136 and 0.0041: of eleven tests the last three, times 3, 2.
    assert collapse[4] == "holds / holds"
    assert pruned[4] == "fails"
    assert threshold[3:] == ("holds / holds", "holds / holds")
    worse = [{**row, "stochastic_top1_error": row["top1_error"] + 0.5} for row in rows()]
    for row in worse:
        row["stochastic_top1_error"] += 0.3 * (row["seed"] == "3")
    _, threshold, *_ = verdicts.all_of(worse)
    # 0.5, 0.5, 0.8: t = 6, p = 0.0267, twice that after Holm.
    assert threshold[3:] == ("holds / holds", "open / open")


def test_a_collapsed_gate_at_its_mode_for_999_of_1000_images():
    some = rows()
    for row in some:
        if row["gates"].endswith("per_batch"):
            row["gate_rates"] = [0.0009, 0.04, 0.9992, 0.9985]
    assert ", 50 % at 99.9 % of the images" in verdicts.all_of(some)[2][2]


def test_a_per_gate_run_beyond_the_per_batch_runs():
    others = [
        _row("dependent, per_gate", "0.6", seed, macs, 10.5 + offset, [0.5, 0.5], 0.0)
        for seed, offset in (("1", 0.0), ("2", 0.1), ("3", 0.2))
        for macs in (8.0, 3.0)
    ]
    # The dearest per-batch runs err by 9, 9.1 and 9.2: in each seed twice 1, once 1.5.
    figures, pairs = verdicts._losses(rows() + others, "dependent")
    assert figures == (
        "per-gate errs by 1.17 ± 0.00 (3 seeds, 9 of 9 runs) points more, 6 at equal cost, 3 "
        "dearer, 3 cheaper ones left out"
    )
    assert verdicts.verdict(*verdicts._test(pairs)) == "holds"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([3.0], "open"),
        # Two seeds need 12.7 standard errors, three 4.3: 2 and 3.5 of 0.577.
        ([-3.0, -3.1], "fails"),
        ([3.0, 4.0], "open"),
        ([1.0, 1.0, 2.0], "open"),
        ([1.0, 1.0, 1.5], "holds"),
    ],
)
def test_a_verdict_is_a_test_over_the_seeds(values, verdict):
    pairs = list(enumerate(values))
    assert verdicts.verdict(*verdicts._test(pairs)) == verdict
    # Runs of the same seed count once.
    assert verdicts.verdict(*verdicts._test(pairs * 10)) == verdict


@pytest.mark.parametrize(("lost", "verdict"), [(0.1, "holds"), (0.3, "open"), (0.6, "fails")])
def test_as_good_as_plain_is_within_a_margin(lost, verdict):
    some = [
        _row(gates, target, seed, 6.0, 9.0 + lost * (target != "") + 0.01 * int(seed), [], 1.0)
        for seed in "123"
        for gates, target in (("plain", ""), ("dependent, per_batch", "0.6"))
    ]
    for index, row in enumerate(some):
        row["top1_error"] += 0.01 * (index % 3)
    _, pairs = verdicts._beside_plain(some, "dependent")
    assert verdicts.verdict(*verdicts._test(pairs)) == verdict


def test_picture_of_all_runs(tmp_path):
    runs_picture.draw(rows(), tmp_path / "claims.png")
    assert (tmp_path / "claims.png").read_bytes().startswith(b"\x89PNG")
