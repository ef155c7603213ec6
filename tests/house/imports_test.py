"""Imports run one way: the method knows nothing of training, export or flags."""

import ast
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# Each room may import from the rooms of earlier lines, and from its own where it is a folder. In
# runs/ every file is a room; of graph/, what knows no gate.
LAYERS = [
    {"base"},
    {"noise", "norms", "losses", "schedules", "data", "policies", "graph.nodes"},
    {"gates", "targets", "graph.macs", "graph.masks", "graph.outputs"},
    {"gated", "stochastic_depth", "early_exit"},
    {"network"},
    {"graph"},
    {"networks"},
    {"training", "inference", "export", "report"},
    {"settings"},
    {"runs.description"},
    {"runs.folder", "runs.rates", "runs.grid"},
    {"runs.records", "runs.data", "runs.sweep"},
    {"runs.init_from", "runs.another_run", "runs.teacher"},
    {"runs.build", "runs.evaluate", "runs.model_card"},
    {"runs.fit", "runs.finish", "runs.before_after", "runs.budget"},
    {"actions"},
    {"tools"},
    {"__main__"},
]
# What else a room may know of another in its own line.
NEIGHBOURS = {("policies", "noise"), ("graph.macs", "graph.nodes")}
FILES = ("graph.nodes", "graph.macs", "graph.masks", "graph.outputs")
# Data is joined with the rest in the tools; serving shares its preprocessing.
DATA_IS_KNOWN_TO = {"data", "actions"} | {
    f"runs.{name}" for name in ("description", "folder", "data", "evaluate", "fit", "budget")
}
PREPROCESSING_IS_KNOWN_TO = {"export", "runs.init_from", "runs.build"}
# The method, the loose files and graph/, is Keras alone; on TensorFlow the noise asks for its
# replica.
FRAMEWORKS = {
    "tensorflow": {"noise", "data", "training", "inference", "export", "actions", "runs.build"},
    "tensorflow_datasets": {"data"},
    "matplotlib": {"report"},
    "absl": {"settings", "base", "runs.grid", "actions", "tools"},
    "keras_cv": {"data"},
    "tensorflow_serving": {"export"},
}


def imports(path):
    """Returns the modules that a file imports, with their full names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def room(path):
    return room_of(path.relative_to(ROOT / "tfgates").with_suffix("").parts)


def room_of(parts):
    """Returns the room of a module, from the parts of its name behind tfgates."""
    if parts[0] == "runs" or ".".join(parts[:2]) in FILES:
        return ".".join(parts[:2])
    return parts[0]


SOURCES = [
    path
    for path in (ROOT / "tfgates").rglob("*.py")
    if path not in (ROOT / "tfgates/__init__.py", ROOT / "tfgates/runs/__init__.py")
]


def line_of(name):
    return next(index for index, line in enumerate(LAYERS) if name in line)


def test_every_room_has_its_line():
    assert {room(path) for path in SOURCES} <= set().union(*LAYERS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    own = room(path)
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == "tfgates" and len(parts) > 1 and module != "tfgates.runs":
            other = room_of(parts[1:])
            allowed = other == own or line_of(other) < line_of(own) or (own, other) in NEIGHBOURS
            assert allowed, f"{own} may not import {other}"
            if other == "data" and own not in DATA_IS_KNOWN_TO:
                preprocessing = own in PREPROCESSING_IS_KNOWN_TO and parts[2] == "preprocess"
                assert preprocessing, f"{own} may not import {module}"
        if parts[0] in FRAMEWORKS:
            assert own in FRAMEWORKS[parts[0]], f"{own} may not import {parts[0]}"


def test_tools_import_no_more_than_their_flags_need():
    for path in (ROOT / "tfgates/tools").glob("*.py"):
        parts = [module.split(".") for module in imports(path)]
        rooms = {other[1] for other in parts if other[0] == "tfgates" and len(other) > 1}
        assert rooms <= {"base", "settings"}, path


def test_the_client_needs_neither_tensorflow_nor_tfgates():
    for path in (ROOT / "serving/client.py", *(ROOT / "tfgates_client").rglob("*.py")):
        roots = {module.split(".")[0] for module in imports(path)}
        allowed = {"tfgates_client", "grpc", "google", "numpy", "absl", "tabulate", "tqdm"}
        assert roots <= allowed | sys.stdlib_module_names
