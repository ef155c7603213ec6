"""Which part of a data set plays training, validation and test."""

from tfgates.base.errors import UserError

MAX_VALIDATION = 10_000


def validation_size(images):
    """Returns the images that are cut from a training split of so many: a tenth, at most 10,000."""
    return min(images // 10, MAX_VALIDATION)


def roles(name, sizes):
    """Returns for "train", "validation" and "test" the tensorflow-datasets split that plays it.

    Where the set lacks a validation split, the end of the training split plays it; where it lacks
    a test split, the validation split does, or another part of the training split.

    Args:
        name: of the set.
        sizes: images of each of its labelled splits, by name.

    Raises:
        UserError: there is no training split.
    """
    if "train" not in sizes:
        raise UserError(
            f"--dataset={name} has no labelled training split, only "
            f"{', '.join(sorted(sizes)) or 'none'}. Choose another set."
        )
    if "test" in sizes and "validation" in sizes:
        return {"train": "train", "validation": "validation", "test": "test"}
    images = sizes["train"]
    share = validation_size(images)
    for test in ("test", "validation"):
        if test in sizes:
            return {
                "train": f"train[:{images - share}]",
                "validation": f"train[{images - share}:]",
                "test": test,
            }
    return {
        "train": f"train[:{images - 2 * share}]",
        "validation": f"train[{images - 2 * share}:{images - share}]",
        "test": f"train[{images - share}:]",
    }
