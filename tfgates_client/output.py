"""Answers as a table, JSON, JSON lines or CSV."""

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from tfgates_client.answers import Answer
from tfgates_client.terminal import escaped

DIGITS = 6  # of a score, a float32
# A spreadsheet takes what begins so for a formula, unless a quote stands before it.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_table(answers: Iterator[Answer], stream: TextIO) -> None:
    """Writes a table at the end, or what there is of it when the answers break off."""
    import tabulate  # The other formats start without it.

    rows, exits = [], False
    try:
        for answer in answers:
            cells = [answer.status, "", "", "", ""]
            if answer.ok:
                millions = f"{answer.macs / 1e6:.2f}"
                left = "" if answer.exit is None else str(answer.exit)
                cells = [answer.label, f"{answer.score:.3f}", _bits(answer), millions, left]
                exits = exits or bool(left)
            rows.append([escaped(cell) for cell in (answer.name, *cells)])
    finally:
        headers = ["file", "label", "score", "gates", "M multiply-adds", "exit"]
        if not exits:
            headers, rows = headers[:-1], [row[:-1] for row in rows]
        if rows:
            print(tabulate.tabulate(rows, headers, disable_numparse=True), file=stream)


def write_json(answers: Iterator[Answer], stream: TextIO) -> None:
    """Writes one list of objects; it is closed, too, when the answers break off."""
    opening = "["
    try:
        for answer in answers:
            stream.write(f"{opening}\n{json.dumps(_record(answer))}")
            opening = ","
    finally:
        if opening == ",":
            print("\n]", file=stream)


def write_jsonl(answers: Iterator[Answer], stream: TextIO) -> None:
    """Writes one object on each line, as the answers come."""
    for answer in answers:
        print(json.dumps(_record(answer)), file=stream, flush=True)


def write_csv(answers: Iterator[Answer], stream: TextIO) -> None:
    """Writes rows of comma-separated values, as the answers come.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    writer = None
    for answer in answers:
        row = _record(answer)
        del row["top"]
        for column in ("file", "status", "label"):
            row[column] = _cell(row[column], stream.isatty())
        if writer is None:
            writer = csv.DictWriter(stream, row, lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
        stream.flush()


FORMATS: dict[str, Callable[[Iterator[Answer], TextIO], None]] = {
    "table": write_table,
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
}


def _record(answer: Answer) -> dict[str, Any]:
    """Returns an answer as JSON holds it; what a failed image has not is null."""
    if not answer.ok:
        empty = dict.fromkeys(("label", "score", "gates", "macs", "macs_full", "exit"))
        return {"file": answer.name, "status": answer.status, **empty, "top": []}
    top = zip(answer.class_ids, answer.labels, answer.scores, strict=True)
    return {
        "file": answer.name,
        "status": answer.status,
        "label": answer.label,
        "score": round(answer.score, DIGITS),
        "gates": _bits(answer),
        "macs": round(answer.macs),
        "macs_full": None if answer.macs_full is None else round(answer.macs_full),
        "exit": answer.exit,
        "top": [
            {"class_id": class_id, "label": label, "score": round(score, DIGITS)}
            for class_id, label, score in top
        ],
    }


def _cell(text: str | None, shown: bool) -> str | None:
    if not text:
        return text
    if shown:
        text = escaped(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def _bits(answer: Answer) -> str:
    return "".join("1" if ran else "0" for ran in answer.gates)
