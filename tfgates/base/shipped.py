"""What comes with the package: the recipes, and a small data set."""

import pathlib
import re

# In a checkout links to the folders of that name.
SHIPPED = pathlib.Path(__file__).parents[1] / "shipped"
RECIPE = re.compile(r"(--?flagfile=)?flags/(\w+\.cfg)")


def with_recipes(arguments):
    """Returns arguments in which flags/NAME.cfg is that of the package, where there is no other.

    Args:
        arguments: of the command line, --flagfile=PATH or --flagfile and PATH among them.
    """

    def found(before, argument):
        named = RECIPE.fullmatch(argument)
        if not named or not (named[1] or before in ("--flagfile", "-flagfile")):
            return argument
        if pathlib.Path("flags", named[2]).exists():
            return argument
        recipe = SHIPPED / "flags" / named[2]
        return f"{named[1] or ''}{recipe}" if recipe.exists() else argument

    return [
        found(before, argument)
        for before, argument in zip(["", *arguments], arguments, strict=False)
    ]
