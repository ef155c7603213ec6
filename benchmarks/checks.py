"""What a flag of a benchmark may name: networks with numbers, numbers, some of a few words."""

from absl import flags

from tfgates.networks import NETWORKS


def are_cases(flag, form, is_network=NETWORKS.__contains__):
    """Lets a flag, one text or a list, hold networks in a form as NAME:PIXELS alone."""

    def fits(value):
        texts = [value] if isinstance(value, str) else value
        return bool(texts) and all(_is_case(text, form.count(":"), is_network) for text in texts)

    flags.register_validator(flag, fits, f"is {form}, a network of {', '.join(NETWORKS)}.")


def are_numbers(flag, low, high, example):
    """Lets a list flag hold numbers in (low, high] alone."""
    flags.register_validator(
        flag,
        lambda texts: texts and all(_is_number(text, low, high) for text in texts),
        f"are numbers above {low} and up to {high}, as {example}.",
    )


def are_among(flag, names):
    """Lets a list flag hold some of these names alone."""
    flags.register_validator(
        flag,
        lambda texts: bool(texts) and set(texts) <= set(names),
        f"are among {', '.join(names)}.",
    )


def _is_case(text, numbers, is_network):
    name, *rest = text.rsplit(":", numbers)
    return (
        is_network(name)
        and len(rest) == numbers
        and all(one.isdecimal() and int(one) > 0 for one in rest)
    )


def _is_number(text, low, high):
    try:
        return low < float(text) <= high
    except ValueError:
        return False
