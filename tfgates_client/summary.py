"""What a run did: images, failures, speed, multiply-adds."""

import collections
import sys
import time
from collections.abc import Iterator

from tfgates_client.answers import Answer

BAR_DELAY = 2  # seconds before a progress bar appears


class Summary:
    """Counts the answers that pass through it."""

    def __init__(self) -> None:
        self.images = 0
        self.failures: collections.Counter[str] = collections.Counter()  # by code
        self._macs = 0.0
        self._macs_full: float | None = 0.0
        self._start = time.monotonic()

    def watch(self, answers: Iterator[Answer], bar: bool) -> Iterator[Answer]:
        """Passes answers on, under a progress bar on stderr or without one."""
        self._start = time.monotonic()
        if bar:
            import tqdm  # Runs without a bar start without it.

            answers = tqdm.tqdm(answers, unit=" images", delay=BAR_DELAY, file=sys.stderr)
        for answer in answers:
            self.images += 1
            if answer.ok:
                self._add(answer)
            else:
                self.failures[answer.status.partition(":")[0]] += 1
            yield answer

    def _add(self, answer: Answer) -> None:
        self._macs += answer.macs
        if answer.macs_full is None or self._macs_full is None:
            self._macs_full = None
        else:
            self._macs_full += answer.macs_full

    def __str__(self) -> str:
        seconds = time.monotonic() - self._start
        failed = self.failures.total()
        parts = [
            f"{self.images:,} image{'' if self.images == 1 else 's'}",
            f"{failed:,} failed",
            f"{self.images / seconds:,.1f} images/s",
        ]
        if classified := self.images - failed:
            parts.append(f"{self._macs / classified / 1e6:.2f} M multiply-adds on average")
            if self._macs_full:
                saved = round(100 * (1 - self._macs / self._macs_full), 1)
                parts.append(f"{saved + 0:.1f} % saved")  # + 0 makes 0.0 of -0.0
        return ", ".join(parts)
