"""Where the client finds images."""

import io
import os
import pathlib
import types

import pytest

from tfgates_client.images import batches, find_images


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Working directory with a folder of images and other files."""
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.PNG", "b/1.jpeg", "a.jpg", "c.jpg", "notes.txt", "b/deep/3.webp", "b/.jpg/x"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    (tmp_path / "empty").mkdir()
    return "photos"


FOUND = [f"photos/{name}" for name in ("a.jpg", "b/1.jpeg", "b/2.PNG", "b/deep/3.webp", "c.jpg")]


def test_a_folder_is_searched_in_the_order_of_names(photos):
    assert list(find_images(photos)) == FOUND


def test_a_link_to_a_folder_is_not_followed_but_one_to_a_file_is(photos):
    os.symlink(os.path.abspath(photos), "photos/b/loop")  # noqa: PTH100, PTH211
    os.symlink(os.path.abspath("photos/notes.txt"), "photos/d.png")  # noqa: PTH100, PTH211
    assert list(find_images(photos)) == [*FOUND, "photos/d.png"]


def test_what_is_no_file_in_a_folder_is_skipped(photos):
    os.mkfifo("photos/b/0.jpg")
    assert list(find_images(photos)) == FOUND
    assert list(find_images("photos/b/*.jp*")) == ["photos/b/1.jpeg"]
    # What is named may be a pipe, as <(command) is in a shell.
    assert list(find_images("photos/b/0.jpg")) == ["photos/b/0.jpg"]
    os.symlink("gone", "photos/d.png")  # noqa: PTH211
    assert list(find_images(photos)) == [*FOUND, "photos/d.png"]


def test_places_keep_their_order_and_files_need_no_suffix(photos):
    places = ["photos/c.jpg", "empty", "photos/b/deep", "photos/notes.txt", "missing.jpg"]
    expected = ["photos/c.jpg", "photos/b/deep/3.webp", "photos/notes.txt", "missing.jpg"]
    assert list(find_images(*places)) == expected


def test_places_may_be_paths(photos, tmp_path):
    found = find_images(tmp_path / photos / "b", pathlib.Path("photos/c.jpg"))
    assert list(found) == [*(str(tmp_path / name) for name in FOUND[1:4]), "photos/c.jpg"]


def test_patterns_are_expanded_in_order(photos):
    assert list(find_images("photos/*.jpg")) == ["photos/a.jpg", "photos/c.jpg"]
    assert list(find_images("photos/**/[0-9].*")) == FOUND[1:4]
    assert list(find_images("photos/[bc]*")) == FOUND[1:]
    assert list(find_images("photos/b/**")) == FOUND[1:4]
    assert list(find_images("photos/*.bmp")) == ["photos/*.bmp"]


def test_a_name_that_looks_like_a_pattern_is_a_name(photos, tmp_path):
    for name in ("a[1].jpg", "a1.jpg"):
        (tmp_path / name).touch()
    assert list(find_images("a[1].jpg")) == ["a[1].jpg"]


def test_a_list_on_stdin_is_read_line_by_line(photos, monkeypatch):
    lines = io.BytesIO(b"photos/c.jpg\r\n\nphotos/b/deep\n*.jpg\n\xff.jpg\nlast.jpg")
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=lines))
    found = find_images("photos/a.jpg", "-")
    assert next(found) == "photos/a.jpg"
    assert lines.tell() == 0
    names = ["photos/c.jpg", "photos/b/deep/3.webp", "*.jpg", os.fsdecode(b"\xff.jpg"), "last.jpg"]
    assert list(found) == names


def test_a_name_that_no_file_can_have_is_an_image_that_cannot_be_read():
    long = "x" * 300 + ".jpg"
    assert list(find_images(long)) == [long]
    (batch,) = batches([long], 1, 10)
    assert list(batch.unread) == [0]


def test_a_batch_ends_with_its_images_or_its_bytes(tmp_path):
    sizes = [4, 6, 1, 1, 1, 1, 10]
    images = [bytes(size) for size in sizes]
    read = [[len(content) for content in batch.contents] for batch in batches(images, 3, 10)]
    assert read == [[4, 6], [1, 1, 1], [1], [10]]


def test_what_cannot_be_read_counts_as_an_image_of_its_batch(tmp_path):
    missing = str(tmp_path / "missing.jpg")
    first, second = batches([b"a", missing, b"b", missing, missing], 4, 100)
    assert (first.contents, sorted(first.unread), len(first)) == ([b"a", b"b"], [1, 3], 4)
    assert (second.contents, sorted(second.unread), len(second)) == ([], [0], 1)
    assert [answer.name for answer in first.unread.values()] == [missing, missing]
