"""What reaches the disk, and in which order: flushes and renames, as they happen."""

import os
import pathlib


class Disk:
    """Records every `os.fsync`, `os.replace` and `os.rename` of a test.

    Args:
        monkeypatch: the fixture, which ends the recording with the test.
    """

    def __init__(self, monkeypatch):
        self._events: list[tuple] = []
        fsync = os.fsync

        def record_flush(handle):
            path = pathlib.Path(f"/proc/self/fd/{handle}").readlink()
            self._events.append(("flush", path, set()))
            fsync(handle)

        monkeypatch.setattr(os, "fsync", record_flush)
        for name in ("replace", "rename"):
            monkeypatch.setattr(os, name, self._recording(getattr(os, name)))

    def _recording(self, rename):
        def record_rename(source, target):
            source, target = pathlib.Path(source), pathlib.Path(target)
            self._events.append(("rename", target, {source, *source.rglob("*")}))
            rename(source, target)

        return record_rename

    def assert_durable(self, path):
        """Asserts that a path was renamed once: all of it flushed before, its folder after."""
        ((when, parts),) = [
            (when, parts)
            for when, (kind, target, parts) in enumerate(self._events)
            if (kind, target) == ("rename", path)
        ]
        before, after = (
            {flushed for kind, flushed, _ in some if kind == "flush"}
            for some in (self._events[:when], self._events[when:])
        )
        assert parts <= before, f"not flushed before the rename: {parts - before}"
        assert path.parent in after, f"{path.parent} is not flushed after the rename"
