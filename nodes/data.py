"""Pictures to learn from, as data sets."""

from pathlib import Path
from typing import Literal

from engine.context import Context
from engine.inputs import allowed_for, folder_files
from engine.node import Input, Node, Seed
from engine.paths import resolve_input
from nodes.sockets import Dataset, Image

PICTURES = ("*.png", "*.jpg", "*.jpeg", "*.webp", "*.bmp", "*.txt", "metadata.jsonl")


class Digits(Node):
    """Handwritten digits of 43 people: 1,797 real scans of 8 x 8 pixels that come with scikit-learn, resized.

    They are always split the same way: 1,437 to learn from and 360 to test with. (Alpaydin & Kaynak 1998.)
    """

    version = 1
    size: int = Input(16, ge=8, le=256, about="pixels a side, enlarged with a bicubic filter")
    part: Literal["train", "test", "all"] = Input("all", about="which of them")

    def run(self, ctx: Context) -> Dataset:
        from diffusion.datasets import digits

        return digits(self.size, self.part)


class Mnist(Node):
    """MNIST, 70,000 handwritten digits, from its original idx files, plain or .gz, in a folder (LeCun et al. 1998).

    The pictures are 28 x 28; a border of 2 makes them 32 x 32, a size that halves well.
    """

    version = 1
    folder: str = Input(about="the folder with train-images-idx3-ubyte and the others", files=folder_files("*ubyte*"))
    part: Literal["train", "test"] = Input("train", about="60,000 to learn from, or 10,000 to test with")
    border: int = Input(2, ge=0, le=18, about="black pixels added on every side")

    def run(self, ctx: Context) -> Dataset:
        from dataclasses import replace

        import numpy as np

        from diffusion.datasets import mnist

        data = mnist(_folder(self.folder, ctx), self.part)
        edge = (self.border, self.border)
        return replace(data, images=np.pad(data.images, ((0, 0), edge, edge, (0, 0))))


class Shapes(Node):
    """Coloured shapes on a plain ground, one or two to a picture, each with a caption in plain English: "a small red
    circle above a blue square on white". Drawn by weft, the same ones for the same seed, plainly or in a style that the
    captions say nothing of. One caption in ten is kept for the test part and never drawn for the other."""

    version = 1
    cached = False
    count: int = Input(20000, ge=1, le=1_000_000, about="pictures")
    size: int = Input(64, ge=32, le=1024, about="pixels a side")
    part: Literal["train", "test"] = Input("train", about="which captions")
    shapes: int | None = Input(None, ge=1, le=2, about="how many to a picture; default: one in half of them, else two")
    style: Literal["plain", "outline", "thin"] = Input("plain", about="how shapes are drawn: something for a LoRA")
    seed: int = Seed(0)

    def run(self, ctx: Context) -> Dataset:
        from diffusion.shapes import dataset

        return dataset(self.count, self.size, self.part, self.shapes, self.seed, self.style)


class JoinDatasets(Node):
    """Several data sets as one, such as pictures in a style beside plain ones. Those of other sides stand beside the
    first, as ImageFolder's buckets do. Captions stay where all have them, and so do labels of the same classes.
    Repeats let a small set be seen as often as a large one."""

    version = 1
    cached = False
    datasets: list[Dataset] = Input(about="one after the other, at least one")
    repeats: list[int] = Input([], about="how often each is there, from 1 on; default: once")

    def run(self, ctx: Context) -> Dataset:
        from diffusion.datasets import joined

        return joined(self.datasets, self.repeats)


class ImageFolder(Node):
    """The pictures of a folder, cut to squares, or each to the most alike of a few shapes of about size^2 pixels
    (aspect buckets), of which every batch of TrainLoRA, TrainTextToImage, TrainControlNet and TrainTextualInversion
    takes one. Sub-folders are classes; else captions come from .txt files beside the pictures, or from metadata.jsonl
    with a line {"file_name": …, "text": …} for each."""

    version = 1
    folder: str = Input(about="the folder", files=folder_files(*PICTURES))
    size: int = Input(32, ge=8, le=4096, about="pixels a side, of squares or of squares of the same area")
    grey: bool = Input(False, about="one channel instead of three")
    buckets: bool = Input(False, about="pictures keep about their own shape; SDXL is told what was cut")
    multiple: int = Input(64, ge=1, le=1024, about="of which the sides of buckets are multiples")
    mirrored: bool = Input(False, about="each picture is there once more, left and right exchanged")

    def run(self, ctx: Context) -> Dataset:
        from diffusion.datasets import image_folder

        multiple = self.multiple if self.buckets else 0
        return image_folder(_folder(self.folder, ctx), self.size, self.grey, multiple, self.mirrored)


class DatasetImage(Node):
    """Some pictures of a data set, in [0, 1]."""

    version = 1
    cached = False
    dataset: Dataset
    index: int = Input(0, ge=0, about="the first of them, counted from 0")
    count: int = Input(1, ge=1, le=4096, about="how many")

    def run(self, ctx: Context) -> Image:
        import numpy as np

        last = self.index + self.count
        if last > len(self.dataset):
            raise ValueError(f"{self.dataset.name} has {len(self.dataset)} pictures, not {last}; make index smaller")
        return Image(self.dataset.alike.images[self.index : last].astype(np.float32) / 255)


def _folder(value: str, ctx: Context) -> Path:
    return resolve_input(value, ctx.settings.folder, allowed_for(ctx.settings, ctx.node, "folder"))
