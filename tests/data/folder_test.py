"""A folder of one's own pictures, and ImageNet's recipe on it, from flags to the client."""

import json
import os
import shutil

import matplotlib.cbook
import numpy as np
import pytest
import tensorflow as tf
from examples import own_lines, real_images
from processes import forked

from tfgates.base.errors import UserError
from tfgates.data import datasets
from tfgates.data.preprocess import RESIZES, Preprocessing, decode
from tfgates.network import num_gates
from tfgates.runs.folder import RunFolder

PHOTO = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)


def write_pictures(folder, count=24):
    """Writes JPEG files of two classes and of many sizes: parts of a photograph, and clothing."""
    rng = np.random.default_rng(0)
    photo = decode(tf.io.read_file(PHOTO)).numpy()
    clothing = [decode(image).numpy() for image in real_images(count)[0]]
    for label in ("clothing", "portrait"):
        (folder / label).mkdir(parents=True)
        for index in range(count):
            height, width = rng.integers(60, 140, 2)
            if label == "portrait":
                row, column = rng.integers(0, 400, 2)
                pixels = photo[row : row + height, column : column + width]
            else:
                pixels = tf.image.resize(clothing[index], (height, width)).numpy().astype("uint8")
            path = folder / label / f"{index:02d}.jpg"
            path.write_bytes(tf.io.encode_jpeg(pixels, quality=90).numpy())
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def test_a_folder_is_a_data_set(pictures):
    dataset = datasets.open_dataset(f"folder:{pictures}")
    assert dataset.labels == ("clothing", "portrait")
    assert [dataset.size(split) for split in ("train", "validation", "test")] == [40, 4, 4]
    seen = []
    for split in dataset.splits:
        found = [(image, int(label)) for image, label in dataset.records(split).as_numpy_iterator()]
        assert len(found) == dataset.size(split)
        seen += found
    assert len({image for image, _ in seen}) == 48
    for image, label in seen[:5]:
        folder = pictures / dataset.labels[label]
        assert any(path.read_bytes() == image for path in folder.iterdir())
    order = tf.constant(5, tf.int64)
    shuffled = [image for image, _ in dataset.records("train", order).as_numpy_iterator()]
    again = [image for image, _ in dataset.records("train", order).as_numpy_iterator()]
    stored = [image for image, _ in dataset.records("train").as_numpy_iterator()]
    assert shuffled == again != stored
    assert sorted(shuffled) == sorted(stored)


def test_a_picture_keeps_its_place_whatever_others_come(pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "more")
    before = datasets.open_dataset(f"folder:{tmp_path}/more")
    shutil.copy(PHOTO, tmp_path / "more" / "portrait" / "new.jpg")
    after = datasets.open_dataset(f"folder:{tmp_path}/more")
    assert before.fingerprint != after.fingerprint
    trained_on = {image for image, _ in before.records("train").as_numpy_iterator()}
    held_back = {
        image
        for split in ("validation", "test")
        for image, _ in after.records(split).as_numpy_iterator()
    }
    # At most one picture moves over each border.
    assert len(trained_on & held_back) <= 2


def test_folders_of_splits_are_taken_as_they_are(pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "train")
    shutil.copytree(pictures / "portrait", tmp_path / "val" / "portrait")
    (tmp_path / "val" / "clothing").mkdir()
    with pytest.raises(UserError, match=r"no pictures in .*val/clothing"):
        datasets.open_dataset(f"folder:{tmp_path}")
    shutil.copy(pictures / "clothing" / "00.jpg", tmp_path / "val" / "clothing")
    dataset = datasets.open_dataset(f"folder:{tmp_path}")
    assert [dataset.size(split) for split in ("train", "validation", "test")] == [44, 25, 4]
    (tmp_path / "val" / "third").mkdir()
    with pytest.raises(UserError, match=r"the class third in .*val alone"):
        datasets.open_dataset(f"folder:{tmp_path}")


def test_folders_that_are_no_data_set_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"folder:.*nowhere names no folder"):
        datasets.open_dataset(f"folder:{tmp_path}/nowhere")
    with pytest.raises(UserError, match="names no folder"):
        datasets.open_dataset("folder:")
    (tmp_path / "one").mkdir()
    (tmp_path / "testing").mkdir()
    with pytest.raises(UserError, match="named like splits, testing, and no train"):
        datasets.open_dataset(f"folder:{tmp_path}")
    (tmp_path / "testing").rmdir()
    with pytest.raises(UserError, match=r"1 sub-folders.*needs two"):
        datasets.open_dataset(f"folder:{tmp_path}")
    (tmp_path / "two").mkdir()
    with pytest.raises(UserError, match=r"no pictures in .*one"):
        datasets.open_dataset(f"folder:{tmp_path}")
    for label in ("one", "two"):
        shutil.copy(PHOTO, tmp_path / label)
    (tmp_path / "two" / "deeper").mkdir()
    with pytest.raises(UserError, match=r"folders within the class .*two"):
        datasets.open_dataset(f"folder:{tmp_path}")
    (tmp_path / "two" / "deeper").rmdir()
    with pytest.raises(UserError, match="too few pictures"):
        datasets.open_dataset(f"folder:{tmp_path}")


def test_imagenet_without_its_files_names_both_and_the_folder(tmp_path):
    manual = tmp_path / "downloads" / "manual"
    both = "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar in .*downloads/manual"
    with pytest.raises(UserError, match=f"{both}.*Missing: .*train.tar, .*val.tar"):
        datasets.open_dataset("imagenet2012", str(tmp_path))
    manual.mkdir(parents=True)
    (manual / "ILSVRC2012_img_train.tar").write_bytes(b"")
    with pytest.raises(UserError, match=f"{both}.*Missing: ILSVRC2012_img_val.tar. "):
        datasets.open_dataset("imagenet2012", str(tmp_path))


@pytest.mark.parametrize("shape", [(256, 256), (256, 320), (300, 256), (512, 768)])
def test_both_readings_of_the_evaluation_crop_against_resize_and_slice(shape):
    image = decode(tf.io.read_file(PHOTO))
    image = tf.cast(tf.image.resize(image, shape), tf.uint8)
    ours = RESIZES["shorter_side"](image, 224).numpy()
    scale = 256 / min(shape)
    side = [round(length * scale) for length in shape]
    scaled = tf.image.resize(image, side, antialias=True).numpy()
    top, left = ((length - 224) // 2 for length in side)
    np.testing.assert_allclose(ours, scaled[top : top + 224, left : left + 224], atol=0.5)
    stretched = tf.image.resize(image, (256, 256), antialias=True).numpy()[16:240, 16:240]
    np.testing.assert_allclose(RESIZES["stretch"](image, 224), stretched)
    if shape == (256, 256):
        np.testing.assert_array_equal(ours, image[16:240, 16:240])


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (1, 1), (33, 900)])
def test_every_reading_fits_extreme_shapes(resize, shape):
    fitted = RESIZES[resize](np.full((*shape, 3), 200, "uint8"), 32).numpy()
    assert fitted.shape == (32, 32, 3)
    assert fitted.max() == pytest.approx(200, rel=1e-5)


@pytest.mark.parametrize("label", ["a\nb", "\x1b[31mred", os.fsdecode(b"\xff"), "a\u2028b", " "])
def test_a_class_whose_name_is_no_line_is_refused(tmp_path, label):
    for name in (label, "other"):
        (tmp_path / name).mkdir()
        shutil.copy(PHOTO, tmp_path / name)
    with pytest.raises(UserError, match="not a line of text") as refused:
        datasets.open_dataset(f"folder:{tmp_path}")
    assert ascii(label) in str(refused.value)
    assert str(refused.value).isprintable()


def test_a_picture_that_is_none_is_named(pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "pictures")
    for name in ("03.jpg", "07.jpg"):
        (tmp_path / "pictures" / "clothing" / name).write_text("no picture")
    (tmp_path / "pictures" / "clothing" / "raw.heic").write_text("")
    (tmp_path / "pictures" / "__MACOSX").mkdir()
    finished = forked(
        "train.py",
        f"--dataset=folder:{tmp_path}/pictures",
        "--network=cifar_resnet8",
        "--batch_size=8",
        "--epochs=1",
        "--decay_epochs=1",
        "--statistics=imagenet",
        f"--output_dir={tmp_path}/run",
    )
    assert finished.returncode == 2, finished.stderr
    line = own_lines(finished.stderr)[-1]
    assert "2 files that are no images" in line
    assert line.index("03.jpg") < line.index("07.jpg. Remove them")
    assert "Left out in" in finished.stdout
    assert "1 .heic" in finished.stdout
    assert "Epoch" not in finished.stdout


@pytest.mark.timeout(280)
def test_the_recipe_of_imagenet_from_pictures_to_the_client(pictures, tmp_path):
    run = RunFolder(tmp_path / "run")
    finished = forked(
        "train.py",
        "--flagfile=flags/r50.cfg",
        # Half as many blocks of the same kind of network take half of the time.
        "--network=resnet18",
        f"--dataset=folder:{pictures}",
        f"--output_dir={run.path}",
        "--init_from=",
        "--image_size=64",
        "--batch_size=8",
        "--steps_per_epoch=2",
        "--epochs=1",
        "--decay_epochs=1",
        "--recalibration_batches=2",
        "--recalibration_batch_size=16",
        eager=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert "Recalibrating batch norm on 2 batches of 16 images" in finished.stdout
    data = json.loads(run.data.read_text())
    assert data["preprocessing"] == {"size": 64, "resize": "shorter_side"}
    assert data["mean"] == [0.485, 0.456, 0.406]
    assert run.load_data()[2] == Preprocessing(64, "shorter_side")
    assert num_gates(run.load_classifier().network) == 8
    exported = forked("-m", "tfgates.tools.export", f"--run={run.path}")
    assert exported.returncode == 0, exported.stderr
    shown = forked("serving/demo.py", f"--run={run.path}")
    assert shown.returncode == 0, shown.stderr
    answers = [line.split() for line in shown.stdout.splitlines() if ".jpg" in line]
    assert len(answers) == 4
    assert {answer[1] for answer in answers} <= {"clothing", "portrait"}
    assert all(len(answer[3]) == 8 for answer in answers)
