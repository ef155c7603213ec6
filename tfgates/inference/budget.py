"""The most accurate of several networks and thresholds within a budget.

A user has a budget, not a target rate (section 6): what was trained towards some rates is measured
over the threshold, and the best point that can be afforded is taken.
"""

import dataclasses

from tfgates.inference.passes import Result


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network at a threshold.

    Attributes:
        run: path of its run folder.
        tau: the threshold.
        result: `Result` on the validation images.
        milliseconds: mean time of an image; None where the budget is one of multiply-adds.
    """

    run: str
    tau: float
    result: Result
    milliseconds: float | None = None

    @property
    def cost(self):
        """What the budget limits, milliseconds or multiply-adds of a mean image."""
        return self.result.macs if self.milliseconds is None else self.milliseconds


def frontier(candidates):
    """Finds the candidates that are more accurate than every one that costs no more.

    Args:
        candidates: list of `Candidate`, at least one.

    Returns:
        List of `Candidate`, from the cheapest to the most accurate.
    """
    found: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: (one.cost, one.result.top1_error)):
        if not found or candidate.result.top1_error < found[-1].result.top1_error:
            found.append(candidate)
    return found


def best_within(candidates, budget):
    """Finds the most accurate candidate within a budget, of equal ones the cheapest.

    Args:
        candidates: list of `Candidate`, at least one.
        budget: the greatest cost.

    Returns:
        `Candidate`, or None where the cheapest costs more.
    """
    affordable = [candidate for candidate in frontier(candidates) if candidate.cost <= budget]
    return affordable[-1] if affordable else None
