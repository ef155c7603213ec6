"""Versions come and go while the server runs: swaps, failures, retries, missing folders."""

import contextlib
import shutil
import threading
import time

import grpc
import pytest
from serving_fixtures import calling, config, jpegs, predict, refusal, server, serving, spec
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus
from version_fixtures import AVAILABLE, END, answering, predict_of, states

pytest_plugins = ["serving_fixtures", "version_fixtures"]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@contextlib.contextmanager
def asking(address, clients=4):
    """Asks on from some threads while the block runs; yields the answering versions and errors."""
    request, ended = predict_of(spec()), threading.Event()
    answered, failures = [], []

    def ask_on():
        with calling(address) as begin:
            while not ended.is_set():
                try:
                    answered.append(begin(request).result().model_spec.version.value)
                except grpc.RpcError as error:
                    failures.append(error)

    threads = [threading.Thread(target=ask_on) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answered, failures
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_version_swap_under_load_fails_no_request(folder):
    base = folder(1)
    with serving(config.one_model("gated", str(base))) as embedded:
        with asking(embedded.address) as (answered, failures):
            for number in (2, 3):
                time.sleep(0.3)
                folder(number)
                embedded.watcher.poll()
            time.sleep(0.3)
        assert states(embedded) == {1: END, 2: END, 3: AVAILABLE}
    assert failures == []
    # Each client sees the versions in their order.
    assert sorted(set(answered)) == [1, 2, 3]
    assert all(answered.count(number) > 3 for number in (1, 2, 3))


def test_a_request_in_flight_outlives_its_version(folder):
    base = folder(1)
    entered, released = threading.Event(), threading.Event()

    def load(name, path):
        model = server.load(name, path)
        if path.name == "1":
            run = model.run

            def held(*arguments):
                entered.set()
                released.wait()
                return run(*arguments)

            model.run = held
        return model

    with (
        serving(config.one_model("gated", str(base)), load=load, threads=2) as embedded,
        calling(embedded.address) as begin,
        contextlib.ExitStack() as ending,
    ):
        # Whatever fails here, nothing waits for it.
        ending.callback(released.set)
        in_flight = begin(predict(image_bytes=jpegs(1)))
        entered.wait()
        folder(2)
        polling = threading.Thread(target=embedded.watcher.poll)
        polling.start()
        while states(embedded) != {1: ModelVersionStatus.UNLOADING, 2: AVAILABLE}:
            time.sleep(0.01)
        assert answering(begin, spec()) == 2
        released.set()
        assert in_flight.result().model_spec.version.value == 1
        polling.join()
        assert states(embedded) == {1: END, 2: AVAILABLE}


def test_a_broken_version_does_not_take_the_old_one_away(folder):
    base = folder(1)
    with (
        serving(config.one_model("gated", str(base)), retry_seconds=0) as embedded,
        calling(embedded.address) as begin,
    ):
        (base / "2").mkdir()
        embedded.watcher.poll()
        assert answering(begin, spec()) == 1
        status = GetModelStatusRequest(model_spec=spec())
        broken, sound = begin(status).result().model_version_status
        assert (broken.version, broken.state) == (2, END)
        assert broken.status.error_code == grpc.StatusCode.UNKNOWN.value[0]
        assert "2 holds no readable SavedModel" in broken.status.error_message
        assert (sound.version, sound.state) == (1, AVAILABLE)
        # Somebody had copied the rest too late: it is tried again.
        shutil.copytree(base / "1", base / "2", dirs_exist_ok=True)
        embedded.watcher.poll()
        assert states(embedded) == {1: END, 2: AVAILABLE}
        assert answering(begin, spec()) == 2


def test_a_version_is_tried_as_often_as_asked(folder):
    base = folder(1)
    tried = []

    def load(name, path):
        if path.name == "2":
            tried.append(path)
        return server.load(name, path)

    one = config.one_model("gated", str(base))
    with serving(one, load=load, retries=2, retry_seconds=0) as embedded:
        (base / "2").mkdir()
        for _ in range(5):
            embedded.watcher.poll()
        assert len(tried) == 3
        (base / "2").rmdir()
        embedded.watcher.poll()
        assert states(embedded) == {1: AVAILABLE}


def test_a_missing_folder_changes_nothing_and_an_empty_one_ends_all(folder):
    base = folder(1)
    with (
        serving(config.one_model("gated", str(base))) as embedded,
        calling(embedded.address) as begin,
    ):
        base.rename(base.with_name("away"))
        embedded.watcher.poll()
        assert answering(begin, spec()) == 1
        base.mkdir()
        embedded.watcher.poll()
        code, message = refusal(begin(predict(image_bytes=jpegs(1))))
        assert code == grpc.StatusCode.NOT_FOUND
        assert message == "Servable not found for request: Latest(gated)"
        assert states(embedded) == {1: END}
        folder(1)
        embedded.watcher.poll()
        assert answering(begin, spec()) == 1
