"""Where pictures come from, and what is said of files that are damaged."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from diffusion.datasets import digits, image_folder, mnist, read_idx


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_digits_are_split_once_and_for_all() -> None:
    train, test, everything = digits(16), digits(16, "test"), digits(16, "all")
    assert (len(train), len(test), len(everything)) == (1437, 360, 1797)
    assert train.images.shape == (1437, 16, 16, 1)
    assert train.images.dtype == np.uint8
    assert train.labels is not None
    assert test.labels is not None
    assert np.bincount(test.labels).min() >= 34
    together = {picture.tobytes() for picture in np.concatenate([train.images, test.images])}
    assert together == {picture.tobytes() for picture in everything.images}
    assert np.array_equal(digits(16).images, train.images)
    assert train.class_names == tuple("0123456789")


def test_digits_at_their_own_size_are_the_scans() -> None:
    from sklearn.datasets import load_digits

    np.testing.assert_allclose(digits(8, "all").images[..., 0] / 255 * 16, load_digits().images, atol=0.04)


@pytest.mark.parametrize(("size", "part", "message"), [(4, "all", "size must lie in 8"), (16, "val", 'part "val"')])
def test_digits_refuse_what_they_have_not(size: int, part: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        digits(size, part)


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_files_are_read_plain_and_packed(tmp_path: Path, packed: bool) -> None:
    images = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)
    labels = np.array([5, 0, 9], dtype=np.uint8)
    for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        data = idx(array)
        (tmp_path / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    made = mnist(tmp_path)
    assert np.array_equal(made.images[..., 0], images)
    assert made.labels is not None
    assert made.labels.tolist() == [5, 0, 9]
    with pytest.raises(FileNotFoundError, match=r"neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte\.gz"):
        mnist(tmp_path, "test")


GOOD = idx(np.zeros((2, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "magic number missing, expected 00000802"),
        (b"\x89PNG....", "magic number 89504e47, expected 00000802"),
        (GOOD[:3] + b"\x03" + GOOD[4:], "magic number 00000803, expected 00000802"),
        (GOOD[:8], "ends inside its header"),
        (GOOD[:-1], "6 bytes of data expected for 2 x 3, found 5"),
        (GOOD + b"x", "6 bytes of data expected for 2 x 3, found more"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "claims 18446744065119617025 bytes"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path, 2)
    assert str(path) in str(caught.value)


# without the time of day, which would name the test otherwise in each process that runs it
@pytest.mark.parametrize("data", [gzip.compress(GOOD, mtime=0)[:-12], GOOD], ids=["cut short", "not packed"])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "images.gz").write_bytes(data)
    with pytest.raises(ValueError, match=r"images\.gz: not a whole gzip file"):
        read_idx(tmp_path / "images.gz", 2)


def test_mnist_with_files_that_do_not_belong_together_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((2, 28, 28), dtype=np.uint8)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, dtype=np.uint8)))
    with pytest.raises(ValueError, match="2 images but 3 labels"):
        mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([1, 77], dtype=np.uint8)))
    with pytest.raises(ValueError, match="label 77"):
        mnist(tmp_path)


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (20, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.new("RGB", size, colour).save(path)


def test_folders_of_pictures_are_classes(tmp_path: Path) -> None:
    for i, name in enumerate(("dog/b.png", "cat/a.png", "cat/c.jpg")):
        picture(tmp_path / name, (80 * i, 0, 0))
    (tmp_path / "empty").mkdir()
    made = image_folder(tmp_path, 8)
    assert made.class_names == ("cat", "dog")
    assert made.labels is not None
    assert made.labels.tolist() == [0, 0, 1]
    assert made.images.shape == (3, 8, 8, 3)
    assert made.images[2].max() == 0
    assert image_folder(tmp_path, 8, grey=True).images.shape == (3, 8, 8, 1)


@pytest.mark.parametrize("how", ["beside", "metadata"])
def test_captions_stand_beside_pictures_or_in_one_file(tmp_path: Path, how: str) -> None:
    picture(tmp_path / "a.png", (1, 2, 3))
    picture(tmp_path / "b.png", (1, 2, 3))
    if how == "beside":
        (tmp_path / "a.txt").write_text("one\n")
        (tmp_path / "b.txt").write_text("two\n")
    else:
        rows = [{"file_name": "b.png", "text": "two"}, {"file_name": "a.png", "text": "one"}]
        (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    made = image_folder(tmp_path, 8)
    assert made.captions == ("one", "two")
    assert made.labels is None


def test_a_folder_that_will_not_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        image_folder(tmp_path / "none", 8)
    with pytest.raises(FileNotFoundError, match="holds no pictures"):
        image_folder(tmp_path, 8)
    picture(tmp_path / "a.png", (1, 2, 3))
    assert image_folder(tmp_path, 8).captions == ()
    picture(tmp_path / "b.png", (1, 2, 3))
    (tmp_path / "a.txt").write_text("one")
    with pytest.raises(ValueError, match=r"b\.txt is missing"):
        image_folder(tmp_path, 8)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "x"}\n{"text": 3}\n')
    with pytest.raises(ValueError, match=r"metadata\.jsonl:2: needs"):
        image_folder(tmp_path, 8)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "x"}\n')
    with pytest.raises(ValueError, match=r"no line for b\.png"):
        image_folder(tmp_path, 8)
    rows = [{"file_name": f"{name}.png", "text": "x"} for name in "abc"]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(ValueError, match=r"c\.png: not a picture"):
        image_folder(tmp_path, 8)
