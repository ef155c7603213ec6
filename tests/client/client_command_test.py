"""The client as its users run it: files in, rows and exit codes out."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios

import numpy as np
import pytest
from examples import ROOT
from serving_fixtures import BROKEN, jpegs
from stub_server import CLIENT, IMAGES, echo, run_client, start_client, stub_server

from tfgates.export.savedmodel import BAD_IMAGE

pytest_plugins = ["serving_fixtures", "stub_server"]

HEADER = ["file", "label", "score", "gates", "M multiply-adds"]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture
def client(address):
    """Function (*arguments) -> the finished client, which asked the server."""
    return lambda *arguments: run_client(address, *arguments)


def rows(finished):
    """Returns the cells of the printed table, row by row, without the trailing empty ones."""
    header, _, *lines = finished.stdout.splitlines()
    assert re.split(r"\s{2,}", header) == HEADER
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def expected_rows(paths, answer):
    """Returns the rows that the answer of a SavedModel makes."""
    gates = answer["gates"].astype(int).astype(str)
    return [
        [str(path), classes[0].decode(), f"{scores[0]:.3f}", "".join(opened), f"{macs / 1e6:.2f}"]
        for path, classes, scores, opened, macs in zip(
            paths, answer["classes"], answer["scores"], gates, answer["macs"], strict=True
        )
    ]


def test_a_row_for_each_file_in_order(client, ask, image_files):
    paths = image_files(40)[::-1]
    finished = client(*paths)
    answer = ask("serving_default", image_bytes=jpegs(40)[::-1])
    assert rows(finished) == expected_rows(paths, answer)
    mean = answer["macs"].mean() / 1e6
    assert re.fullmatch(
        rf"40 images, 0 failed, [\d.,]+ images/s, {mean:.2f} M multiply-adds on average"
        r"(, \d+\.\d % saved)?\n",
        finished.stderr,
    )
    assert finished.returncode == 0


def test_a_broken_and_a_missing_file_leave_their_neighbours_alone(client, ask, image_files):
    paths = image_files(8)
    expected = expected_rows(paths, ask("serving_default", image_bytes=jpegs(8)))
    paths[0].unlink()
    expected[0] = [str(paths[0]), "NOT_FOUND: No such file or directory"]
    paths[3].write_bytes(BROKEN)
    expected[3] = [str(paths[3]), BAD_IMAGE]
    finished = client(*paths)
    assert rows(finished) == expected
    assert finished.returncode == 1
    assert finished.stderr.startswith("8 images, 2 failed, ")


def test_tau_sets_the_threshold(client, ask, image_files):
    paths = image_files(8)
    multiply_adds = {}
    for tau in (0.01, 0.99):
        printed = rows(client(f"--tau={tau}", *paths))
        taus = np.full(8, tau, "float32")
        answer = ask("predict_tau", image_bytes=jpegs(8), tau=taus)
        assert printed == expected_rows(paths, answer)
        multiply_adds[tau] = sum(float(row[4]) for row in printed)
    assert multiply_adds[0.99] < 0.8 * multiply_adds[0.01]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_holds_the_top_classes(client, ask, image_files, kind):
    paths = image_files(3)
    paths[1].write_bytes(BROKEN)
    text = client(f"--format={kind}", *paths).stdout
    if kind == "json":
        records = json.loads(text)
    else:
        records = [json.loads(line) for line in text.splitlines()]
    answer = ask("serving_default", image_bytes=[path.read_bytes() for path in paths])
    assert [record["file"] for record in records] == [str(path) for path in paths]
    assert [record["status"] for record in records] == ["OK", BAD_IMAGE, "OK"]
    assert [record["macs"] for record in records] == [answer["macs"][0], None, answer["macs"][2]]
    assert (records[1]["label"], records[1]["score"], records[1]["top"]) == (None, None, [])
    for index in (0, 2):
        top = records[index]["top"]
        assert [row["label"].encode() for row in top] == answer["classes"][index].tolist()
        assert [row["class_id"] for row in top] == answer["class_ids"][index].tolist()
        scores = [row["score"] for row in top]
        np.testing.assert_allclose(scores, answer["scores"][index], atol=2e-6)
        assert (records[index]["label"], records[index]["score"]) == (top[0]["label"], scores[0])


def test_csv_has_a_header_and_quotes_what_needs_it(tmp_path):
    comma, missing = tmp_path / 'a, "b".jpg', tmp_path / "missing.jpg"
    comma.write_bytes("Größe, 1".encode())
    with stub_server(echo) as address:
        finished = run_client(address, "--format=csv", comma, missing)
    first, second = csv.DictReader(io.StringIO(finished.stdout))
    columns = ["file", "status", "label", "score", "gates", "macs", "macs_full", "exit"]
    assert list(first) == columns
    assert list(first.values()) == [str(comma), "OK", "Größe, 1", "0.75", "101", "3000000", "", ""]
    lacking = [""] * 6
    assert list(second.values()) == [
        str(missing),
        "NOT_FOUND: No such file or directory",
        *lacking,
    ]


def test_a_model_with_exits_has_a_column_of_them(tmp_path):
    asked, image = [], tmp_path / "one.jpg"
    image.write_bytes(b"bag")

    def leaving(request, context):
        asked.append(request)
        return echo(request, exit=np.array([2], "int64"))

    with stub_server(leaving) as address:
        finished = run_client(address, "--tau=0.4", "--exit_tau=0.7", image)
        plain = run_client(address, "--exit_tau=0.7", "--format=jsonl", image)
    assert finished.stdout.splitlines()[0].split()[-1] == "exit"
    assert finished.stdout.splitlines()[2].split()[-1] == "2"
    assert json.loads(plain.stdout)["exit"] == 2
    names = [(one.model_spec.signature_name, sorted(one.inputs)) for one in asked]
    assert names == [
        ("predict_taus", ["exit_tau", "image_bytes", "tau"]),
        ("predict_exit_tau", ["exit_tau", "image_bytes"]),
    ]
    refused = run_client("127.0.0.1:1", "--exit_tau=1", "a.jpg")
    assert refused.returncode == 2
    assert "exit_tau" in refused.stderr


HOSTILE = ["=1+1.jpg", "\x1b[31m\nred\u202e.jpg"]


def hostile_files(folder):
    """Writes files whose names, and labels, are what no terminal or spreadsheet should take in."""
    for name in HOSTILE:
        (folder / name).write_text(name)
    return HOSTILE


def test_a_table_has_no_control_characters(tmp_path):
    with stub_server(echo) as address:
        finished = run_client(address, *hostile_files(tmp_path), folder=tmp_path)
    shown = r"\x1b[31m\nred\u202e.jpg"
    assert [row[:2] for row in rows(finished)] == [["=1+1.jpg"] * 2, [shown] * 2]


def test_csv_holds_no_formulas_and_shows_no_control_characters(tmp_path):
    names = hostile_files(tmp_path)
    with stub_server(echo) as address:
        piped = run_client(address, "--format=csv", *names, folder=tmp_path).stdout
        screen, terminal = pty.openpty()
        command = [sys.executable, CLIENT, f"--server={address}", "--format=csv", *names]
        subprocess.run(command, cwd=tmp_path, stdout=terminal, stderr=terminal, check=True)
    os.close(terminal)
    shown = os.read(screen, 100_000).decode()
    os.close(screen)
    answers = list(csv.DictReader(io.StringIO(piped)))
    assert [answer["file"] for answer in answers] == ["'=1+1.jpg", names[1]]
    assert [answer["label"] for answer in answers] == ["'=1+1.jpg", names[1]]
    assert "\x1b" not in shown
    assert r"\x1b[31m\nred\u202e.jpg,OK," in shown


def test_the_summary_names_the_saved_share_where_the_model_sends_the_full_cost(files):
    def full(request, context):
        return echo(request, macs_full=np.full(len(files), 4e6, "float32"))

    with stub_server(full) as address:
        finished = run_client(address, *files)
    assert finished.stderr.endswith(" images/s, 3.00 M multiply-adds on average, 25.0 % saved\n")


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_rows_are_written_as_answers_come(files, kind):
    with stub_server(echo) as address, start_client(address, f"--format={kind}") as running:
        for count, path in enumerate(files[:3]):
            print(path, file=running.stdin)
            if kind == "csv" and not count:
                assert running.stdout.readline().startswith("file,status,")
            # Stdin is still open: this row did not wait for the next file.
            assert str(path) in running.stdout.readline()
        running.stdin.close()
        assert running.wait(20) == 0


def test_a_reader_that_leaves_is_no_error(files):
    with stub_server(echo) as address, start_client(address, "--format=jsonl") as running:
        print(files[0], file=running.stdin)
        assert IMAGES[0].decode() in running.stdout.readline()
        running.stdout.close()
        print(files[1], file=running.stdin)
        running.stdin.close()
        assert (running.wait(20), running.stderr.read()) == (141, "")


@pytest.mark.parametrize("delay", [0, 60])
def test_a_long_run_shows_a_bar_on_a_terminal(files, delay):
    screen, stderr = pty.openpty()
    termios.tcsetwinsize(stderr, (24, 100))
    code = (
        f"import runpy, sys; from tfgates_client import summary; summary.BAR_DELAY = {delay}; "
        f"sys.argv[0] = 'client.py'; runpy.run_path({str(CLIENT)!r}, run_name='__main__')"
    )
    with stub_server(echo) as address:
        command = [sys.executable, "-c", code, f"--server={address}", *files]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr, check=True)
    os.close(stderr)
    shown = os.read(screen, 100_000).decode()
    os.close(screen)
    assert ("20 images [00:" in shown) == (delay == 0)
    assert shown.splitlines()[-1].startswith("20 images, 0 failed")
