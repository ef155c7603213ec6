"""Which versions are served: policies, names, labels, a new configuration, what is refused."""

import grpc
import pytest
from serving_fixtures import (
    arrays,
    assert_same,
    calling,
    config,
    jpegs,
    predict,
    refusal,
    server,
    serving,
    spec,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from version_fixtures import AVAILABLE, END, answering, configs, one_config, predict_of, states

from tfgates.base.errors import UserError
from tfgates_server.version import find_versions, wanted

pytest_plugins = ["serving_fixtures", "version_fixtures"]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


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


def test_versions_are_digits_of_ascii(tmp_path):
    for name in ("7", "007", "٣", "²", "+1", "1_0", "-1", "9" * 19, "1.5"):
        (tmp_path / name).mkdir()
    assert sorted(find_versions(tmp_path)) == [7]


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


def test_labels_wait_for_their_versions_where_that_is_asked_for(folder):
    labelled = configs(one_config(folder(1), 'version_labels { key: "stable" value: 1 }'))
    with pytest.raises(server.Refused, match="Request to assign label to version 1 of model gated"):
        serving(labelled, early_labels=False).__enter__()


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_versions_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="holds no model version"):
        serving(config.one_model("gated", str(tmp_path / name))).__enter__()


def test_a_damaged_version_leaves_the_old_one_in_place(folder):
    base = folder(1)
    with serving(config.one_model("gated", str(base))) as embedded:
        damaged = folder(2) / "2/saved_model.pb"
        content = bytearray(damaged.read_bytes())
        content[-1000] ^= 1
        damaged.write_bytes(content)
        embedded.watcher.poll()
        assert states(embedded) == {1: AVAILABLE, 2: END}
        assert "is not what was exported" in embedded.models.versions("gated")[2].error


def test_a_version_without_saved_model_is_refused(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(UserError, match="1 holds no readable SavedModel"):
        serving(config.one_model("gated", str(tmp_path))).__enter__()
