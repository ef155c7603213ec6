"""What all processes of a test run share: it is made by the first that asks for it."""

import fcntl
import os


def made_once(tmp_path_factory, name, make):
    """Returns a folder that `make(folder)` has filled, in this process or in another one.

    Args:
        tmp_path_factory: of pytest.
        name: of the folder.
        make: function of its path, which is not there yet.
    """
    own = tmp_path_factory.getbasetemp()
    # That of a worker of pytest-xdist lies in that of all.
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (shared / f"{name}.lock").open("w") as lock:
        # The others wait here; a process that ends lets go of it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / f"{name}.made").exists():
            make(shared / name)
            (shared / f"{name}.made").touch()
    return shared / name
