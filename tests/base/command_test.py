"""Bad input ends in one line that says what to do, with exit code 2 and nothing written."""

import pytest
from absl import flags
from examples import own_lines
from processes import forked

from tfgates.base.flag_files import require_no_circle

BAD_FLAGS = [
    (["--target_rate=40"], ["--target_rate=40", "[0, 1]", "0.4"]),
    (["--target_rate=half"], ["target_rate", "half"]),
    (["--target_weight=-1"], ["--target_weight=-1"]),
    (["--learning_rate=0"], ["--learning_rate=0"]),
    (["--momentum=1"], ["--momentum=1", "[0, 1)"]),
    (["--epochs=0"], ["--epochs=0", "at least 1"]),
    (["--batch_size=1"], ["--batch_size=1"]),
    (["--decay_epochs=5,3"], ["--decay_epochs", "5,3"]),
    (["--decay_epochs=x"], ["--decay_epochs", "x"]),
    (["--network=resnet"], ["network", "cifar_resnet20"]),
    (["--gate=open"], ["gate", "dependent", "none"]),
    (["--strategy=parameter_server"], ["--strategy", "mirrored", "without waiting"]),
    (["--strategy=multiworker"], ["TF_CONFIG", "host0:2222", "--strategy=mirrored"]),
    (["--dataset=no_such_set"], ["--dataset", "no_such_set"]),
    (["--batch_size=20000"], ["--batch_size", "10000", "20000"]),
    (["--no_such_flag=1"], ["no_such_flag"]),
    (["--flagfile=flags/missing.cfg"], ["flags/missing.cfg"]),
    (["stray"], ["stray"]),
    (["--strategy=mirrored", "--replicas=3", "--batch_size=64"], ["--batch_size", "3"]),
    (["--replicas=2"], ["--replicas=2", "--strategy=mirrored"]),
    (["--jit", "--strategy=mirrored", "--replicas=2"], ["--jit", "one replica", "2 replicas"]),
    (["--nosync_batch_norm"], ["--sync_batch_norm=false", "several replicas", "mirrored"]),
    (["--epochs=99999999999999999999"], ["--epochs"]),
    (["--decay_epochs=99999999999999999999"], ["--decay_epochs"]),
    (["--output_dir="], ["--output_dir"]),
    (["--branch_targets=1,0.5"], ["--branch_targets", "9 branches", "2 targets"]),
    (["--branch_targets=1,half"], ["--branch_targets", "half", "0.8,t,t"]),
    (["--branch_targets=" + ",".join("t" * 9), "--gate=none"], ["--branch_targets", "--gate=none"]),
    (["--warmup_epochs=150"], ["--warmup_epochs=150", "--decay_epochs"]),
    (["--rand_augment=9"], ["--rand_augment=9", "[0, 1]"]),
    (["--mix=blend"], ["mix", "mixup", "cutmix"]),
    (["--resize=crop"], ["resize", "shorter_side", "stretch"]),
    (["--dataset=folder:no/such/folder"], ["folder:no/such/folder", "names no folder"]),
    (["--init_from=runs/none"], ["--init_from", "torchvision:PATH", "runs/none"]),
    (["--init_from=torchvision:a.pth", "--network=resnet18"], ["a.pth"]),
    (["--init_from=torchvision:a.pth"], ["cifar_resnet20", "resnet18"]),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_FLAGS, ids=lambda value: value[0])
def test_bad_flags_of_train(arguments, words, tmp_path):
    finished = forked("train.py", f"--output_dir={tmp_path}/run", *arguments)
    assert finished.returncode == 2
    (line,) = own_lines(finished.stderr)
    assert line.startswith("train.py: error: ")
    for word in words:
        assert word in line
    assert not (tmp_path / "run").exists()


def test_help_lists_every_flag():
    finished = forked("train.py", "--help")
    for flag in ("--target_rate", "--[no]deterministic", "--network", "--strategy", "--data_dir"):
        assert flag in finished.stdout
    assert "resumes it after its last finished epoch" in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run=runs/no_such_run"], ["runs/no_such_run", "train.py"]),
        (["--run={damaged}"], ["data.json", "is damaged"]),
        (["--run={damaged}", "--tau=1.5"], ["--tau=1.5", "(0, 1)"]),
        ([], ["--run"]),
        (["--run="], ["--run", "runs/NAME"]),
    ],
)
def test_bad_flags_of_export(arguments, words, tmp_path):
    (tmp_path / "data.json").write_text("{half a fi")
    arguments = [argument.format(damaged=tmp_path) for argument in arguments]
    finished = forked("-m", "tfgates.tools.export", *arguments)
    assert finished.returncode == 2
    (line,) = own_lines(finished.stderr)
    for word in words:
        assert word in line


def test_a_run_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    finished = forked("train.py", f"--output_dir={tmp_path}/file/run")
    assert finished.returncode == 2
    (line,) = own_lines(finished.stderr)
    assert "--output_dir" in line


def test_what_the_system_forbids_is_one_line(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from tfgates.base import command\ncommand.run(lambda: open('/dev/null/x', 'w'))\n"
    )
    finished = forked(str(script))
    assert finished.returncode == 2
    (line,) = own_lines(finished.stderr)
    assert line == (
        "script.py: error: Cannot use /dev/null/x: Not a directory. Make it accessible, or name "
        "another folder."
    )


def test_a_flag_file_that_names_itself_is_refused(tmp_path):
    """Also by other names of it, ten of which absl would follow for hours."""
    names = [tmp_path / "a.cfg", *(f"{tmp_path}/{'./' * count}a.cfg" for count in range(1, 10))]
    (tmp_path / "a.cfg").write_text("".join(f"--flagfile={name}\n" for name in names))
    (tmp_path / "b.cfg").write_text(f"--tau=0.4\n--flagfile={tmp_path}/c.cfg\n")
    (tmp_path / "c.cfg").write_text(f"--flagfile={tmp_path}/b.cfg\n")
    for arguments in ([f"--flagfile={tmp_path}/a.cfg"], ["--flagfile", f"{tmp_path}/b.cfg"]):
        with pytest.raises(flags.Error, match="stands in itself"):
            require_no_circle(arguments)
    (tmp_path / "c.cfg").write_text("--tau=0.5\n")
    require_no_circle([f"--flagfile={tmp_path}/b.cfg", f"--flagfile={tmp_path}/c.cfg"])
    finished = forked("-m", "tfgates.tools.evaluate", f"--flagfile={tmp_path}/a.cfg")
    assert finished.returncode == 2
    (line,) = own_lines(finished.stderr)
    assert "a.cfg stands in itself." in line
