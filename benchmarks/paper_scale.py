"""The paper's own network on CIFAR-10, ResNet-110, on one GPU in a given time; not yet run.

    python -m benchmarks.paper_scale --pack=data/cifar10_jpeg --images=cifar10.npz
    KERAS_BACKEND=jax python -m benchmarks.paper_scale --images=cifar10.npz --epochs=20 --minutes=14

Figure 3 and table S5.1 of the paper: {dependent, independent} x {per batch, per gate} at a target
of 0.5, beside them the plain network and an annealed target; SGD at 0.1, divided by ten after 3/7
and 5/7 of the epochs (of 350 in the paper), in float32. Gates, policies, targets and `Gated` are
those of tfgates; the loop is a short one of its own, jitted, with all images on the device. It
needs no TensorFlow and no network: one file of images, the bytes of their JPEG or PNG files, which
the first command writes, and Keras beside JAX. JPEG copies are lossy: errors compare with each
other.

It ends after --minutes, keeps where it is in --output_dir, and goes on from there; each finished
run has its row in --output_dir/paper_scale.csv.
"""

import csv
import io
import pathlib
import pickle
import time

import numpy as np
from absl import app, flags

PACK = flags.DEFINE_string("pack", "", "Folder with train/CLASS/ and test/CLASS/: writes --images.")
IMAGES = flags.DEFINE_string("images", None, "The file of all images, .npz.", required=True)
OUTPUT = flags.DEFINE_string("output_dir", "runs/paper_scale", "Folder of rows and states.")
NETWORK = flags.DEFINE_string("network", "cifar_resnet110", "A network of tfgates.NETWORKS.")
EPOCHS = flags.DEFINE_integer("epochs", 350, "Epochs of each run.", lower_bound=1)
MINUTES = flags.DEFINE_float("minutes", 1e6, "After which it ends.", lower_bound=0)
BATCH = flags.DEFINE_integer("batch_size", 256, "Images of a batch.", lower_bound=2)
SEED = flags.DEFINE_integer("seed", 1, "Of weights, order, augmentation and noise.")
# Gates, and what draws them to their target.
ARMS = ("dependent-per_batch", "independent-per_batch", "none", "dependent-per_gate")
ARMS += ("independent-per_gate", "dependent-annealed")
RUNS = flags.DEFINE_list("runs", list(ARMS), "In the order in which they are run.")
COLUMNS = ("run", "network", "device", "epochs", "seed", "threshold_error", "best_threshold_error")
COLUMNS += ("stochastic_error", "best_stochastic_error", "rate", "macs_share", "seconds")


def pack(folder, path):
    """Writes the bytes of all image files, and their labels, into one array file."""
    found = {}
    for split in ("train", "test"):
        classes = sorted(part for part in (folder / split).iterdir() if part.is_dir())
        files = [(file, n) for n, part in enumerate(classes) for file in sorted(part.iterdir())]
        texts = [file.read_bytes() for file, _ in files]
        found[f"{split}_bytes"] = np.frombuffer(b"".join(texts), "uint8")
        found[f"{split}_ends"] = np.cumsum([len(text) for text in texts])
        found[f"{split}_labels"] = np.array([label for _, label in files], "int32")
    np.savez_compressed(path, **found)
    print(f"Written: {path}, {path.stat().st_size / 1e6:.1f} MB")


def unpack(path, split):
    """Returns the pixels, uint8 [N, H, W, 3], and the labels [N] of a split."""
    import PIL.Image

    with np.load(path) as file:
        content, ends = file[f"{split}_bytes"].tobytes(), file[f"{split}_ends"]
        labels = file[f"{split}_labels"]
    starts = [0, *ends[:-1]]
    pictures = [
        PIL.Image.open(io.BytesIO(content[start:end])).convert("RGB")
        for start, end in zip(starts, ends, strict=True)
    ]
    return np.stack([np.asarray(one) for one in pictures]), labels


def main(arguments):
    del arguments
    if PACK.value:
        return pack(pathlib.Path(PACK.value), pathlib.Path(IMAGES.value))
    from benchmarks.paper_scale_loop import Training

    ends, folder = time.monotonic() + 60 * MINUTES.value, pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    data = {split: unpack(IMAGES.value, split) for split in ("train", "test")}
    for name in RUNS.value:
        if name in {row["run"] for row in rows(folder)}:
            continue
        training = Training(NETWORK.value, name, data, EPOCHS.value, BATCH.value, SEED.value)
        if not train(training, name, folder, ends):
            print(f"The time is over in epoch {training.state['epoch'] + 1} of {name}.")
            return None
        add(folder, {"run": name, "network": NETWORK.value, **training.row()})
    return None


def train(training, name, folder, ends):
    """Trains the epochs of a run that are left, as long as there is time; returns whether it is."""
    path, longest = folder / f"{name}.pickle", 0.0
    if path.exists():
        training.state = pickle.loads(path.read_bytes())
    while training.state["epoch"] < training.epochs:
        if time.monotonic() + 1.2 * longest > ends:
            return False
        began = time.monotonic()
        training.run_epoch()
        longest = time.monotonic() - began
        training.state["seconds"] += longest
        _keep(training.state, path)
        print(f"{name}: {training.log()}", flush=True)
    return True


def _keep(state, path):
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(pickle.dumps(state))
    unfinished.replace(path)


def rows(folder):
    """Returns the rows of the finished runs."""
    path = folder / "paper_scale.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def add(folder, row):
    """Appends the row of a finished run."""
    path, known = folder / "paper_scale.csv", rows(folder)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if not known:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    app.run(main)
