"""Data sets that are read from files: found where they lie, refused where they do not."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import real
from PIL import Image
from test_cli import refused
from typer.testing import CliRunner

from auditgame import registry
from auditgame.cli import app
from auditgame.datasets.cifar10 import Cifar10
from auditgame.datasets.fashion_mnist import FashionMnist
from auditgame.datasets.gtsrb import Gtsrb
from auditgame.datasets.image_folder import ImageFolder
from auditgame.datasets.images import image_folders
from auditgame.datasets.mnist import Mnist
from auditgame.plugins.conformance import examine
from auditgame.schema.errors import AuditgameError

FETCHED = ("cifar10", "fashion_mnist", "gtsrb", "mnist")


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and no memory of another one."""
    monkeypatch.setenv("AUDITGAME_DATA", str(tmp_path))
    monkeypatch.delenv("AUDITGAME_IMAGES", raising=False)
    image_folders._read.cache_clear()
    return tmp_path


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def faults(kind: type) -> list[str]:
    return [finding.fault for finding in examine("dataset", kind) if finding.fault]


# ---------------------------------------------------------------- where there is nothing


@pytest.mark.parametrize("name", FETCHED)
def test_absent_data_name_the_folder_and_the_command(name: str, shelf: Path) -> None:
    with pytest.raises(AuditgameError) as error:
        registry.load("dataset", name)().sample(1, "pool", rng())
    assert str(shelf) in str(error.value) and f"auditgame fetch {name}" in str(error.value)
    assert "\n" not in str(error.value)


def test_fetching_without_a_network_is_one_line(monkeypatch) -> None:
    from torchvision.datasets import MNIST

    def download(self) -> None:
        raise RuntimeError("Error downloading\ntrain-images")

    monkeypatch.setattr(MNIST, "download", download)
    result = CliRunner().invoke(app, ["fetch", "mnist"])
    refused(result, "'mnist'", "could not be downloaded into", "check the network")
    refused(CliRunner().invoke(app, ["fetch", "digits"]), "nothing to fetch")
    refused(CliRunner().invoke(app, ["fetch", "torchvision:alexnt"]), "did you mean 'alexnet'")


# ------------------------------------------------------- real pictures, in torchvision's places


def idx(path: Path, values: np.ndarray) -> None:
    """Write an IDX file of bytes, as torchvision reads it."""
    head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + values.astype(np.uint8).tobytes())


def lay(folder: Path, name: str, images: np.ndarray, labels: np.ndarray, train: int) -> None:
    """The first rows as the training part, the rest as the test part."""
    for part, rows in (("train", slice(train)), ("t10k", slice(train, None))):
        idx(folder / name / "raw" / f"{part}-images-idx3-ubyte", images[rows])
        idx(folder / name / "raw" / f"{part}-labels-idx1-ubyte", labels[rows])


def digits() -> tuple[np.ndarray, np.ndarray]:
    """MNIST's own test pictures."""
    read = [gzip.decompress(real("data", f"t10k-{what}-ubyte.gz").read_bytes()) for what in WHAT]
    images, labels = (np.frombuffer(data, np.uint8) for data in read)
    return images[16:].reshape(-1, 28, 28), labels[8:]


WHAT = ("images-idx3", "labels-idx1")


def test_mnist_is_read_through_torchvision(shelf: Path) -> None:
    images, labels = digits()
    lay(shelf, "MNIST", images, labels, 8_000)
    assert not faults(Mnist)
    parts = {s: Mnist().sample(9_000, s, rng()) for s in ("held", "pool")}
    assert [len(part) for part in parts.values()] == [1_000, 1_000]
    rows = [{x.numpy().tobytes() for x in part.inputs} for part in parts.values()]
    assert not rows[0] & rows[1]
    held = {x.tobytes(): int(y) for x, y in zip(images[8_000::2], labels[8_000::2], strict=True)}
    for image, label in zip(parts["held"].inputs[:50], parts["held"].labels, strict=False):
        inner = (image[0, 2:30, 2:30] * 255).round().to(torch.uint8).numpy()
        assert held[inner.tobytes()] == label and image[0, :2].max() == 0


def test_fashion_mnist_is_read_through_torchvision(shelf: Path) -> None:
    sheet = np.array(Image.open(real("data", "fashion-mnist-sprite.png")).convert("L"))
    cells = sheet.reshape(30, 28, 30, 28).swapaxes(1, 2).reshape(900, 28, 28)
    order = rng().permutation(900)
    lay(shelf, "FashionMNIST", cells[order], (np.arange(900) // 90)[order], 300)
    assert not faults(FashionMnist)
    assert FashionMnist().sample(5, "train", rng(), label=9).labels.tolist() == [9] * 5


def test_a_damaged_copy_is_no_copy(shelf: Path) -> None:
    lay(shelf, "MNIST", np.zeros((20, 28, 28)), np.arange(20) % 10, 10)
    (shelf / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03short")
    with pytest.raises(AuditgameError, match="no complete copy"):
        Mnist().sample(1, "pool", rng())


def test_cifar10_is_read_through_torchvision(shelf: Path, monkeypatch) -> None:
    from torchvision.datasets import CIFAR10

    folder = shelf / "cifar-10-batches-py"
    folder.mkdir()
    sums: dict[str, str] = {}
    pixels = rng().integers(0, 256, (20, 3072), dtype=np.uint8)
    labels = [n % 10 for n in range(20)]
    contents = {"batches.meta": {"label_names": list(Cifar10.classes)}}
    contents |= {n: {"data": pixels, "labels": labels} for n in ("data_batch_1", "test_batch")}
    for name, data in contents.items():
        (folder / name).write_bytes(pickle.dumps(data))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    (found,) = Cifar10().sample(1, "train", rng(), label=3).inputs
    wanted = {row.tobytes() for row in pixels[3::10]}
    assert (found * 255).round().to(torch.uint8).numpy().tobytes() in wanted


def test_gtsrb_is_read_through_torchvision(shelf: Path) -> None:
    base = shelf / "gtsrb"
    tests = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for k in range(43):
        place = base / "GTSRB" / "Training" / f"{k:05}"
        place.mkdir(parents=True)
        Image.new("RGB", (20 + k, 30), (5 * k, 0, 0)).save(place / "00000_00000.ppm")
        for n in (2 * k, 2 * k + 1):
            tests.append(f"{n:05}.ppm;20;30;0;0;20;30;{k}")
    images = base / "GTSRB" / "Final_Test" / "Images"
    images.mkdir(parents=True)
    for n in range(86):
        Image.new("RGB", (20, 30), (5 * (n // 2), 0, 0)).save(images / f"{n:05}.ppm")
    (base / "GT-final_test.csv").write_text("\n".join(tests) + "\n")
    for split in ("train", "held", "pool"):
        found = Gtsrb().sample(43, split, rng())
        assert found.inputs.shape == (43, 3, 32, 32)
        assert sorted(found.labels.tolist()) == list(range(43))
        assert torch.equal((found.inputs[:, 0, 5, 5] * 51).round().long(), found.labels)


# ------------------------------------------------------------------------ anyone's pictures


def fill(folder: Path, count: int = 30, *classes: str) -> Path:
    for k, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for n in range(count):
            Image.new("RGB", (60 + n, 50), (100 * k, n, 7)).save(folder / name / f"{n:02}.png")
    return folder


def test_a_folder_of_pictures_is_a_data_set(shelf: Path, monkeypatch) -> None:
    monkeypatch.setenv("AUDITGAME_IMAGES", str(fill(shelf / "mine", 80, "cat", "dog", "ewe")))
    assert ImageFolder.classes == ImageFolder().classes == ("cat", "dog", "ewe")
    assert not faults(ImageFolder)
    seen = [len(ImageFolder().sample(10**6, s, rng())) for s in ("held", "pool")]
    assert seen == [48, 24]
    found = ImageFolder().sample(168, "train", rng())
    assert torch.equal((found.inputs[:, 0, 0, 0] * 2.55).round().long(), found.labels)


def test_a_folder_that_is_no_data_set_is_refused(shelf: Path, monkeypatch) -> None:
    with pytest.raises(AuditgameError, match="AUDITGAME_IMAGES is not set"):
        ImageFolder().sample(1, "pool", rng())
    folders = {
        "there is no such folder": shelf / "no",
        "has no images": fill(shelf / "empty", 0, "cat", "dog"),
        "one class only, 'cat'": fill(shelf / "one", 12, "cat"),
        "class 'cat' has 9 images; each needs 10": fill(shelf / "few", 9, "cat", "dog"),
    }
    flat = fill(shelf / "flat", 3, "")
    folders["put the images of each class into a folder of its own"] = flat
    for words, folder in folders.items():
        monkeypatch.setenv("AUDITGAME_IMAGES", str(folder))
        with pytest.raises(AuditgameError, match=words) as error:
            ImageFolder().sample(1, "pool", rng())
        assert str(folder) in str(error.value)


def test_pictures_of_any_kind_are_read_upright(tmp_path: Path) -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        Image.new(mode, (17, 90)).save(tmp_path / f"{mode.replace(';', '')}.png")
    Image.new("CMYK", (9, 9)).save(tmp_path / "cmyk.JPG")
    turned = Image.new("RGB", (64, 32), "red")
    turned.paste("blue", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    found = image_folders.list_folder(tmp_path)
    assert len(found.files) == 9 and set(found.labels) == {-1}
    pictures = image_folders.read_pictures(found.files, (3, 32, 32))
    assert pictures.shape == (9, 3, 32, 32)
    upright = pictures[[path.name for path in found.files].index("turned.png")]
    assert upright[2, 2].min() > 200 and upright[0, 29].min() > 200


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: Image.new("1", (10_000, 5_001)).save(p), "over 50 megapixels"),
        (lambda p: p.write_bytes(b"\x89PNG but not really"), "cannot be read"),
        (lambda p: p.write_bytes(b"\0" * (10 * 2**20 + 1)), "over 10 MB"),
    ],
)
def test_one_bad_picture_is_named(make, words: str, tmp_path: Path) -> None:
    make(tmp_path / "bad.png")
    with pytest.raises(AuditgameError, match=words) as error:
        image_folders.read_pictures(image_folders.list_folder(tmp_path).files, (3, 32, 32))
    assert "bad.png" in str(error.value) and "\n" not in str(error.value)


def test_the_common_size_is_of_upright_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (30, 40)).save(tmp_path / "stands.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (40, 30)).save(tmp_path / "lies.jpg", exif=exif)
    assert image_folders.common_size(image_folders.list_folder(tmp_path).files) == (40, 30)
    Image.new("1", (20_000, 5_000)).save(tmp_path / "bomb.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AuditgameError, match=r"bomb\.png': over 50 megapixels"):
            image_folders.common_size(image_folders.list_folder(tmp_path).files)


def test_a_large_picture_is_read(tmp_path: Path) -> None:
    Image.new("1", (10_000, 5_000), 1).save(tmp_path / "large.png")
    pictures = image_folders.read_pictures(image_folders.list_folder(tmp_path).files, (3, 32, 32))
    assert pictures.min() == 255
