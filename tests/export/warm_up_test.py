"""A version is run on the requests of its warm-up file before it is available."""

import pytest
import tensorflow as tf
from serving_fixtures import BROKEN, classify, config, jpegs, predict, server, serving
from tensorflow_serving.apis.prediction_log_pb2 import ClassifyLog, PredictionLog, PredictLog
from version_fixtures import AVAILABLE, END, states

pytest_plugins = ["serving_fixtures", "version_fixtures"]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


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
