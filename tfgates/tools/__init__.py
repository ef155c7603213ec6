"""Commands on run folders: python -m tfgates.tools.NAME --run=runs/NAME."""
