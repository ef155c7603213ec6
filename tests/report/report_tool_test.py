"""The command that writes the page of a run: its files, and what it refuses."""

import re
import shutil

from examples import PREPROCESSING, STATISTICS, own_lines, small_network
from processes import forked

from tfgates.runs.folder import RunFolder
from tfgates.training.classifier import GatedClassifier

REPORT = ("-m", "tfgates.tools.report")


def test_a_page_of_a_run_and_the_plain_network(whole_run, copied_run, tmp_path):
    plain = copied_run
    plain.save_classifier(GatedClassifier(small_network("none", size=32)), plain.model)
    # Its metrics.json is still that of the model before.
    for path in (plain.rates, plain.log):
        path.unlink()
    page = tmp_path / "page.html"
    runs = [f"--run={run.path}" for run in (whole_run[0], plain)]
    finished = forked(*REPORT, *runs, f"--output={page}")
    assert finished.returncode == 0, finished.stderr
    assert "Looking at 10 test images" in finished.stdout
    assert f"Note: {plain.metrics} is of another model" in finished.stdout
    html = page.read_text()
    assert f"{plain.path} has not been evaluated: metrics.json is missing" in html
    assert f"python -m tfgates.tools.evaluate --run={plain.path}" in html
    files = {path.name for path in (tmp_path / "page").iterdir()}
    named = set(re.findall(r'<figure id="picture-(\w+)"', html))
    assert {"tradeoff", "chain", "rates_over_training", "final_rates", "class_rates"} == named
    assert {f"{name}.png" for name in named} <= files
    # Of the plain network alone: no gates, and no picture of them.
    finished = forked(*REPORT, f"--run={plain.path}")
    assert finished.returncode == 0, finished.stderr
    html = (plain.path / "report.html").read_text()
    assert re.findall(r'<figure id="picture-(\w+)"', html) == ["chain"]
    assert html.count("This network has no gates") == 5


def test_a_run_without_a_model_is_refused(copied_run):
    copied_run.model.unlink()
    refused = forked(*REPORT, f"--run={copied_run.path}")
    assert refused.returncode == 2
    assert "model.keras is missing" in own_lines(refused.stderr)[-1]


def test_runs_of_different_data_are_refused(whole_run, shipped, tmp_path):
    run, other = whole_run[0], RunFolder(tmp_path / "other")
    other.path.mkdir()
    other.write_data(shipped, PREPROCESSING, STATISTICS)
    shutil.copy(run.model, other.model)
    refused = forked(*REPORT, f"--run={run.path}", f"--run={other.path}")
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert "my_set" in line
    assert "fashion_mnist_13k" in line
    refused = forked(*REPORT, f"--run={run.path}", "--output=page.pdf")
    assert "ends in .html" in own_lines(refused.stderr)[-1]
    # Pictures in a folder of this name would stand among the files of the run.
    refused = forked(*REPORT, f"--run={run.path}", f"--output={run.path}.html")
    assert "which holds a run" in own_lines(refused.stderr)[-1]
    refused = forked(*REPORT, f"--run={run.path}", "--output=/dev/null/page.html")
    assert "--output=/dev/null/page.html cannot be written" in own_lines(refused.stderr)[-1]
    assert "Looking at" not in refused.stdout
