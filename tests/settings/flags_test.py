"""The table of flags: an entry says all of a flag, and settings are made of the table."""

import dataclasses
import textwrap

import pytest
from examples import run_script, train_settings

from tfgates.base.errors import UserError
from tfgates.settings import network
from tfgates.settings.flags import TABLE, belonging_to
from tfgates.training.strategy import STRATEGIES

# What may change when a run is resumed, as it changes nothing of what has been learned.
RESUMES = {
    *("epochs", "data_dir", "output_dir", "strategy", "replicas", "deterministic", "jit", "keep"),
    *("recalibration_batches", "recalibration_batch_size", "calibrate", "path"),
}
# A flag of which nothing is known but its entry.
ONE_ENTRY = """
    # Flags are read without TensorFlow.
    TFGATES_COMMAND = "one entry"

    from absl import flags

    from tfgates.settings import training_flags
    from tfgates.settings.flag import Flag

    training_flags.MACHINE += (
        Flag(
            "places",
            "list",
            ["1", "2"],
            "Where.",
            valid=lambda texts: "0" not in texts,
            rule="count from 1",
            belongs={"gate": ("none",)},
            read=lambda texts: tuple(map(int, texts)),
        ),
    )
    from tfgates.settings.config import TrainConfig
    from tfgates.settings.flags import define_flags

    define_flags()

    def settings(*arguments):
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["train.py", *arguments])
        return TrainConfig.from_flags()

    print(settings().places)
    given = settings("--places=3,4", "--gate=none")
    print(given.places, given.as_flagfile().splitlines()[-1], given != settings("--gate=none"))
    for arguments in (["--places=3", "--gate=dependent"], ["--places=0"]):
        try:
            settings(*arguments)
        except Exception as error:
            print(error)
"""


def test_a_new_flag_is_one_entry():
    ran = run_script("-c", textwrap.dedent(ONE_ENTRY))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "(1, 2)",
        "(3, 4) --places=3,4 True",
        "--places belongs to --gate=none. Received: --places=3 with --gate=dependent. "
        "Leave one of them out.",
        "flag --places=['0']: count from 1.",
    ]


@pytest.mark.parametrize("flag", TABLE.values(), ids=lambda flag: flag.name)
def test_an_entry_agrees_with_itself_and_with_those_it_belongs_to(flag):
    assert flag.valid is None or flag.valid(flag.default)
    assert bool(flag.valid) == bool(flag.rule)
    assert (flag.kind == "enum") == (flag.default in flag.choices)
    for owner, values in flag.belongs.items():
        assert set(values) <= set(TABLE[owner].choices or STRATEGIES), owner


def test_what_may_change_when_a_run_is_resumed():
    assert {name for name, flag in TABLE.items() if flag.resumes} == RESUMES


def test_what_belongs_to_a_flag_belongs_to_its_owner_too():
    assert belonging_to("gated") == {"filter_groups", "branch_targets"}
    annealing = {"anneal_step", "anneal_epochs", "anneal_targets"}
    assert annealing < belonging_to("target_schedule") < belonging_to("gate")
    assert belonging_to("strategy") == {"sync_batch_norm", "jit"}
    assert belonging_to("seed") == set()


def test_settings_are_values_that_do_not_change():
    settings = train_settings("--seed=3")
    assert settings == train_settings("--seed=3") != train_settings("--seed=4")
    assert len({settings, train_settings("--seed=3"), train_settings("--seed=4")}) == 2
    assert dataclasses.replace(settings, seed=4) == train_settings("--seed=4")
    assert [field.name for field in dataclasses.fields(settings)] == list(TABLE)
    for name in ("seed", "colour"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(settings, name, 4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("resnet50", (None, "resnet50")),
        ("run:runs/a", ("run", "runs/a")),
        ("run:a:b", ("run", "a:b")),
        ("run:", ("run", "")),
        (":resnet50", ("", "resnet50")),
    ],
)
def test_a_network_is_a_name_or_a_kind_and_a_value(value, expected):
    assert network.split(value) == expected
    assert network.is_known(value) == (expected[0] in (None, "keras", "model", "run"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nosync_batch_norm", "--strategy=one"], "--sync_batch_norm=false with --strategy=one"),
        (["--jit", "--strategy=multiworker"], "--jit=true with --strategy=multiworker"),
    ],
)
def test_flags_of_the_devices_are_refused_by_name(arguments, message):
    with pytest.raises(UserError, match=message):
        train_settings(*arguments)
