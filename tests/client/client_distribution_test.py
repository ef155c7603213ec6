"""The client as a distribution of its own: what it needs, and no more."""

import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest
from examples import ROOT
from packaging.requirements import Requirement
from stub_server import echo, stub_server

import tfgates

pytest_plugins = ["stub_server"]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Path of the wheel, built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    unused = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT / "tfgates_client", folder / "source", ignore=unused)
    code = "import setuptools.build_meta as build, sys; build.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", code, folder]
    subprocess.run(command, cwd=folder / "source", check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_it_needs_what_it_imports_in_the_versions_of_tfgates(wheel):
    (distribution,) = importlib.metadata.distributions(path=[str(wheel)])
    needed = {Requirement(text).name: text for text in distribution.requires}
    assert set(needed) == {"absl-py", "grpcio", "numpy", "protobuf", "tabulate", "tqdm"}
    assert distribution.version == tfgates.__version__
    of_tfgates = map(Requirement, importlib.metadata.distribution("tfgates").requires)
    versions = {one.name: one.specifier for one in of_tfgates if not one.marker}
    assert {name: Requirement(text).specifier for name, text in needed.items()} == {
        name: versions[name] for name in needed
    }


def test_it_runs_where_nothing_of_tfgates_is(wheel, files, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert {path.name for path in site.iterdir() if path.suffix == ""} == {"tfgates_client"}
    needed = ["absl", "google", "grpc", "numpy", "numpy.libs", "tabulate", "tqdm"]
    for name in [*needed, "typing_extensions"]:
        for found in pathlib.Path(sysconfig.get_path("purelib")).glob(f"{name}*"):
            if found.name in (name, f"{name}.py"):
                (site / found.name).symlink_to(found)
    environment = {"PYTHONPATH": str(site)}
    with stub_server(echo) as address:
        command = [sys.executable, "-S", "-m", "tfgates_client", f"--server={address}", *files[:2]]
        finished = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True)
    assert (finished.returncode, finished.stderr[:20]) == (0, b"2 images, 0 failed, ")
