"""Versions come and go while the server runs: policies, labels, swaps, failures, warm-up."""

import shutil
import threading
import time

import grpc
import pytest
import tensorflow as tf
from serving_fixtures import (
    BROKEN,
    arrays,
    assert_same,
    calling,
    classify,
    config,
    jpegs,
    predict,
    refusal,
    server,
    serving,
    spec,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.prediction_log_pb2 import ClassifyLog, PredictionLog, PredictLog
from version import find_versions, wanted

from tfgates.errors import UserError

pytest_plugins = ["serving_fixtures"]

AVAILABLE, END = ModelVersionStatus.AVAILABLE, ModelVersionStatus.END


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture
def folder(tmp_path, version):
    """Function *numbers -> the model's folder, into which these versions are copied."""

    def add(*numbers):
        for number in numbers:
            shutil.copytree(version, tmp_path / f".tmp-{number}")
            (tmp_path / f".tmp-{number}").rename(tmp_path / str(number))
        return tmp_path

    return add


def one_config(folder, rest="", name="gated"):
    return f'config {{ name: "{name}" base_path: "{folder}" model_platform: "tensorflow" {rest} }}'


def configs(*texts):
    text = f"model_config_list {{ {' '.join(texts)} }}"
    return config.models(config.text_format.Parse(text, config.ModelServerConfig()))


def states(embedded, name="gated"):
    return {number: version.state for number, version in embedded.models.versions(name).items()}


def predict_of(model_spec):
    request = predict(image_bytes=jpegs(1))
    request.model_spec.CopyFrom(model_spec)
    return request


def answering(begin, model_spec):
    """Returns the number of the version that answers."""
    return begin(predict_of(model_spec)).result().model_spec.version.value


@pytest.mark.parametrize(
    ("policy", "numbers"),
    [
        ("", [10]),
        ("latest {}", [10]),
        ("latest { num_versions: 2 }", [9, 10]),
        ("all {}", [1, 9, 10]),
        ("specific { versions: 9 versions: 1 versions: 7 }", [1, 9]),
    ],
)
def test_a_policy_chooses_versions(tmp_path, policy, numbers):
    for name in ("1", "9", "10", ".tmp-11-123", "12-old", "notes", "²"):
        (tmp_path / name).mkdir()
    (tmp_path / "13").write_text("A file, no version.")
    (one,) = configs(one_config(tmp_path, f"model_version_policy {{ {policy} }}"))
    assert wanted(find_versions(tmp_path), one.model_version_policy) == numbers


def test_models_versions_and_labels_are_told_apart(folder, ask):
    base = folder(1, 2, 3)
    first = one_config(
        base,
        "model_version_policy { specific { versions: 1 versions: 2 } }"
        'version_labels { key: "stable" value: 1 } version_labels { key: "next" value: 3 }',
    )
    second = one_config(base, name="other")
    with serving(configs(first, second)) as embedded, calling(embedded.address) as begin:
        assert answering(begin, spec()) == 2
        assert answering(begin, spec(version={"value": 1})) == 1
        assert answering(begin, spec(version_label="stable")) == 1
        assert answering(begin, ModelSpec(name="other")) == 3
        refused = refusal(begin(predict_of(spec(version_label="next"))))
        assert refused == (
            grpc.StatusCode.NOT_FOUND,
            "Servable not found for request: Specific(gated, 3)",
        )
        refused = refusal(begin(predict_of(spec(version_label="canary"))))
        assert refused == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "Unrecognized servable version label: canary",
        )
        (two, one) = begin(GetModelStatusRequest(model_spec=spec())).result().model_version_status
        assert [(two.version, two.state), (one.version, one.state)] == [
            (2, AVAILABLE),
            (1, AVAILABLE),
        ]
        answer = arrays(begin(predict(image_bytes=jpegs(8))).result())
        assert_same(answer, ask("serving_default", image_bytes=jpegs(8)))


def test_a_version_swap_under_load_fails_no_request(folder):
    base = folder(1)
    failures, answered = [], []
    with serving(config.one_model("gated", str(base))) as embedded:
        ended = threading.Event()

        def ask_on():
            with calling(embedded.address) as begin:
                while not ended.is_set():
                    try:
                        answered.append(answering(begin, spec()))
                    except grpc.RpcError as error:
                        failures.append(error)

        clients = [threading.Thread(target=ask_on) for _ in range(4)]
        for client in clients:
            client.start()
        for number in (2, 3):
            time.sleep(0.3)
            folder(number)
            embedded.watcher.poll()
        time.sleep(0.3)
        ended.set()
        for client in clients:
            client.join()
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
    ):
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


def test_the_configuration_is_reloaded_by_a_call(folder):
    base = folder(1, 2)
    policy = "model_version_policy { all {} }"
    labels = 'version_labels { key: "stable" value: %d }'
    with (
        serving(configs(one_config(base, policy + labels % 1))) as embedded,
        calling(embedded.address) as begin,
    ):

        def reload(*texts):
            text = f"config {{ model_config_list {{ {' '.join(texts)} }} }}"
            return begin(config.text_format.Parse(text, ReloadConfigRequest()))

        assert answering(begin, spec(version_label="stable")) == 1
        assert reload(one_config(base, policy + labels % 2)).result().status.error_code == 0
        assert answering(begin, spec(version_label="stable")) == 2
        assert refusal(reload(one_config(base, policy + labels % 3))) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "Request to assign label to version 3 of model gated, which is not currently available "
            "for inference",
        )
        reload(one_config(base, name="other")).result()
        assert answering(begin, ModelSpec(name="other")) == 2
        code, message = refusal(begin(predict(image_bytes=jpegs(1))))
        assert (code, message) == (
            grpc.StatusCode.NOT_FOUND,
            "Servable not found for request: Latest(gated)",
        )
        code, message = refusal(reload())
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "at least one config" in message
        # A mistyped folder takes nothing away, of this model or another one.
        for typo in (one_config(base / "typo", name="other"), one_config(base / "typo")):
            code, message = refusal(reload(typo))
            assert code == grpc.StatusCode.INVALID_ARGUMENT
            assert "typo holds no model version" in message
            assert answering(begin, ModelSpec(name="other")) == 2


def test_polling_goes_on_after_an_error(capsys):
    stopped, calls = threading.Event(), []

    def action():
        calls.append(len(calls))
        if len(calls) == 2:
            stopped.set()
        raise OSError("The disk has gone.")

    server.repeat(action, 0.001, stopped).join()
    assert calls == [0, 1]
    assert capsys.readouterr().err == 2 * "server.py: The disk has gone.\n"


def test_a_closed_pipe_is_no_reason_to_stop():
    class Closed:
        def write(self, text):
            raise BrokenPipeError

        flush = write

    server.say("a line", Closed())


def test_labels_wait_for_their_versions_where_that_is_asked_for(folder):
    labelled = configs(one_config(folder(1), 'version_labels { key: "stable" value: 1 }'))
    with pytest.raises(server.Refused, match="Request to assign label to version 1 of model gated"):
        serving(labelled, early_labels=False).__enter__()


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_versions_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="holds no model version"):
        serving(config.one_model("gated", str(tmp_path / name))).__enter__()


def test_a_version_without_saved_model_is_refused(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(UserError, match="1 holds no readable SavedModel"):
        serving(config.one_model("gated", str(tmp_path))).__enter__()


def write_warm_up(path, *records):
    (path / "assets.extra").mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path / "assets.extra/tf_serving_warmup_requests")) as file:
        for record in records:
            file.write(record)


def test_a_version_is_warmed_up_before_it_is_available(folder):
    base = folder(1)
    ran = []

    def load(name, path):
        model = server.Model(name, path)
        run = model.run

        def noted(signature, inputs, timeout=None):
            ran.append((signature, len(next(iter(inputs.values())))))
            return run(signature, inputs, timeout)

        model.run = noted
        server.warm_up(model, path)
        return model

    logs = [
        PredictionLog(predict_log=PredictLog(request=predict(image_bytes=jpegs(8)))),
        PredictionLog(predict_log=PredictLog(request=predict("predict_tau", **tau_inputs()))),
        PredictionLog(classify_log=ClassifyLog(request=classify("classify", *jpegs(3)))),
    ]
    write_warm_up(base / "1", *(log.SerializeToString() for log in logs))
    with serving(config.one_model("gated", str(base)), load=load) as embedded:
        assert states(embedded) == {1: AVAILABLE}
        assert ran == [("serving_default", 8), ("predict_tau", 2), ("classify", 3)]


def tau_inputs():
    return {"image_bytes": jpegs(2), "tau": [0.4, 0.6]}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (BROKEN, "tf_serving_warmup_requests cannot be replayed"),
        (
            PredictionLog(predict_log=PredictLog(request=predict("nope"))).SerializeToString(),
            'Serving signature key "nope" not found',
        ),
    ],
    ids=["no log", "no such signature"],
)
def test_a_bad_warm_up_file_fails_its_version(folder, record, reason):
    base = folder(1)
    with serving(config.one_model("gated", str(base))) as embedded:
        folder(2)
        write_warm_up(base / "2", record)
        embedded.watcher.poll()
        assert states(embedded) == {1: AVAILABLE, 2: END}
        assert reason in embedded.models.versions("gated")[2].error
