"""The results of a run as text: a row for each policy, a bar for each gate."""

import tabulate

BAR = 24
# The numbers of a `Result`, by their names in the files of a run; in words.
GAIN_HEADERS = ["decisions", "top-1 error %", "M multiply-adds"]
EXIT_HEADERS = [
    "leaves at",
    "of all images",
    "of the arriving",
    "error % on all",
    "error % on the chosen",
    "M multiply-adds",
]
COLUMNS = ("top1_error", "top5_error", "rate", "macs", "macs_share")
HEADERS = ("top-1 error %", "top-5 error %", "rate", "M multiply-adds", "of ungated")


def policies(results, header="policy", form="simple"):
    """Formats the results of `tfgates.inference.evaluate` as a table in the paper's columns.

    Args:
        results: list of `Result`.
        header: of the first column.
        form: of `tabulate`; "github" is Markdown.

    Returns:
        Text of several lines.
    """
    rows = [[result.policy, *cells(result)] for result in results]
    align = ["left", *["right"] * len(HEADERS)]
    return tabulate.tabulate(rows, [header, *HEADERS], form, disable_numparse=True, colalign=align)


def exits(found, form="simple"):
    """Formats a list of `tfgates.inference.exits.ExitResult` as a table, figure 9 of the paper."""
    align = ["left", *["right"] * (len(EXIT_HEADERS) - 1)]
    return tabulate.tabulate(
        exit_rows(found), EXIT_HEADERS, form, disable_numparse=True, colalign=align
    )


def exit_rows(found):
    """Lays out the results of exits, a row each, as texts; see `exits`."""
    return [
        [
            "end" if one is found[-1] else f"exit {one.exit}",
            f"{100 * one.share:.2f} %",
            f"{100 * one.rate:.2f} %",
            f"{one.error_all:.2f}",
            "" if one.error_chosen is None else f"{one.error_chosen:.2f}",
            "" if one.macs is None else f"{one.macs / 1e6:.2f}",
        ]
        for one in found
    ]


def gain(found):
    """Formats a `tfgates.inference.gain.Gain` as a table."""
    return tabulate.tabulate(gain_rows(found), GAIN_HEADERS, disable_numparse=True)


def gain_rows(found):
    """Lays out a `Gain`: a row for the own decisions, those of other images, and fixed ones."""
    kept = ", ".join(found.kept) or "none"
    return [
        [name, f"{error:.2f}", f"{macs / 1e6:,.2f}"]
        for name, error, macs in (
            ("each image's own", found.own, found.macs),
            ("dealt to other images", found.shuffled, found.macs),
            (f"the same for all: {kept}", found.fixed, found.fixed_macs),
        )
    ]


def cells(result):
    """Formats a `Result` as texts in the order of `HEADERS`: mean and standard deviation."""
    return [
        _with_std(result.top1_error, result.top1_error_std, ".2f"),
        _with_std(result.top5_error, result.top5_error_std, ".2f"),
        _with_std(result.rate, result.rate_std, ".3f"),
        _with_std(result.macs, result.macs_std, ".2f", 1e6),
        f"{100 * result.macs_share:.1f} %",
    ]


def gate_bars(rates, names):
    """Draws the rate of each gate as a bar.

    Args:
        rates: [G], in [0, 1].
        names: of the gates, [G].

    Returns:
        Text, a line for each gate; empty without gates.
    """
    lines = []
    for gate, (rate, name) in enumerate(zip(rates, names, strict=True)):
        bar = "█" * round(BAR * rate)
        lines.append(f"gate {gate:02d}  {bar:░<{BAR}}  {rate:.3f}  {name}")
    return "\n".join(lines)


def _with_std(mean, std, form, unit=1):
    text = f"{mean / unit:{form}}"
    return text if std is None else f"{text} ± {std / unit:{form}}"
