"""The verdicts on the paper's claims, on rows whose answers are known."""

from benchmarks import verdicts


def rows():
    """Two seeds; per-gate errs by 1 point more than the line through the per-batch runs."""
    found = []
    for seed, offset in (("1", 0.0), ("2", 0.1)):
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
        "stochastic_top1_error": error + (0.5 if seed == "1" else 0.7),
        "gate_rates": rates,
        "collapsed": collapsed,
    }


def test_each_claim_has_its_figures_and_verdict():
    batch, threshold, collapse, early, pruned, plain = verdicts.all_of(rows())
    assert batch[1].startswith("dependent: per-gate errs by 1.00 ± 0.00 (4 runs) points more")
    assert batch[2] == "holds / holds"
    assert "sampling errs by 0.60 ± 0.04 (8 runs) points more" in threshold[1]
    assert threshold[2] == "holds / holds"
    assert "dependent: 100 % of the gates, per-gate 0 %" in collapse[1]
    assert collapse[2] == "holds / holds"
    assert "higher by 1.00 ± 0.00 (4 runs)" in early[1]
    # Less the pruned one's: 9 - 10, 9.2 - 10.1, 8 - 9, 8.2 - 9.1.
    assert pruned[1] == "trained anew they err by -0.95 ± 0.03 (4 runs) points more"
    assert pruned[2] == "fails"
    # Of the per-batch runs only those at 0.6 of the compute are near it: 9 - 9, 9.1 - 9.1.
    assert "dependent, at 60 %: 0.00 ± 0.00 (2 runs) points more than plain" in plain[1]
    assert plain[2] == "open / open"


def test_a_run_dearer_than_any_is_compared_with_the_dearest():
    dear = [
        _row("dependent, per_gate", "0.6", seed, 8.0, 10.5 + offset, [0.5, 0.5], 0.0)
        for seed, offset in (("1", 0.0), ("2", 0.1))
    ]
    # The dearest per-batch runs err by 9 and 9.1: four times 1, twice 1.5.
    figures, _ = verdicts.per_batch_beats_per_gate(rows() + dear)
    assert figures.startswith("dependent: per-gate errs by 1.17 ± 0.11 (6 runs) points more")


def test_one_run_decides_nothing():
    assert verdicts._verdict([3.0]) == "open"
    assert verdicts._verdict([3.0, -3.0]) == "open"
    assert verdicts._verdict([-3.0, -3.1]) == "fails"


def test_picture_of_all_runs(tmp_path):
    verdicts.draw(rows(), tmp_path / "claims.png")
    assert (tmp_path / "claims.png").read_bytes().startswith(b"\x89PNG")
