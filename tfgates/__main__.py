"""Networks that decide, image by image, which of their layers to run.

    tfgates COMMAND --help

tells of a command; python -m tfgates.tools.COMMAND is the same. With eval "$(tfgates completion)" a
bash, or a zsh after bashcompinit, completes commands and their flags.
"""

import ast
import pathlib
import runpy
import sys

import tfgates

# In the order of a first use.
COMMANDS = (
    *("demo", "gate", "train", "sweep", "evaluate", "report", "prune"),
    *("export", "bench", "serve", "classify"),
)
# --help takes tenths of a second, so that it can be asked at each key.
COMPLETION = """\
_tfgates() {{
    local word=${{COMP_WORDS[COMP_CWORD]}}
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
    elif [ "${{word#-}}" != "$word" ]; then
        COMPREPLY=($(compgen -W "$(tfgates "${{COMP_WORDS[1]}}" --help 2> /dev/null |
            sed -n 's/^  --\\(\\[no\\]\\)\\{{0,1\\}}\\([a-z_]*\\):.*/--\\2/p')" -- "$word"))
    fi
}}
complete -o default -F _tfgates tfgates"""


def main():
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        # As python -m tfgates.tools.NAME would have it.
        sys.argv[1:] = arguments
        runpy.run_module(f"tfgates.tools.{name}", run_name="__main__", alter_sys=True)
    elif name == "--version":
        print(f"tfgates {tfgates.__version__}")
    elif name == "completion":
        print(COMPLETION.format(commands=" ".join(COMMANDS)))
    elif name in ("-h", "--help", "help"):
        print(f"{__doc__}\n{listed()}")
    else:
        print(
            f"tfgates: error: The commands are {', '.join(COMMANDS)}. Received: {name!r}. "
            "See tfgates --help.",
            file=sys.stderr,
        )
        sys.exit(2)


def listed():
    """Returns a line of each command: the first one of its own text."""
    lines = []
    for name in COMMANDS:
        source = pathlib.Path(__file__).with_name("tools") / f"{name}.py"
        text = ast.get_docstring(ast.parse(source.read_text())) or ""
        lines.append(f"  {name:10}{text.splitlines()[0]}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
