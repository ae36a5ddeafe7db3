"""Measuring samples: are they what was asked for, and do they look like real ones?"""

from typing import NamedTuple

from engine.context import Context
from engine.node import Input, Node
from nodes.sockets import Dataset, Image


class Classified(NamedTuple):
    """The share of pictures that are read as what was asked for, and that in words."""

    accuracy: float
    report: str


class Classify(Node):
    """Read each picture with a classifier trained on real ones alone (a support vector machine from scikit-learn), and
    count how many are read as the class that was asked for."""

    version = 1
    image: Image = Input(about="samples, of the size of the real ones")
    dataset: Dataset = Input(about="real pictures with their classes")
    labels: str = Input(
        about="the classes asked for, as TextEncode was given them; each an equal share of the pictures"
    )

    def run(self, ctx: Context) -> Classified:
        import numpy as np

        from diffusion.evaluate import Judge
        from diffusion.pixel import labels_of

        names = self.dataset.class_names
        asked = labels_of(self.labels, names)
        pictures = self.image.pixels
        if len(pictures) % len(asked):
            raise ValueError(f"{len(pictures)} pictures cannot be shared by {len(asked)} labels; make batch a multiple")
        wanted = np.repeat(asked, len(pictures) // len(asked))
        right = Judge(self.dataset).classify(pictures) == wanted
        each = [f"{names[label]}: {right[wanted == label].mean():.0%}" for label in dict.fromkeys(asked)]
        accuracy = float(right.mean())
        report = f"{int(right.sum())} of {len(right)} samples ({accuracy:.1%}) are read as the label asked for"
        return Classified(accuracy, f"{report}\n{', '.join(each)}")


class Distance(NamedTuple):
    """Fréchet distances to real training pictures: of the samples, of real test pictures, the one by the other."""

    samples: float
    real: float
    ratio: float
    report: str


class FrechetDistance(Node):
    """d = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), between Gaussians fitted to features (Heusel et al. 2017).

    The features are the hidden layer of a small classifier trained on the real data. d depends on how many pictures
    there are, so it is given beside the distance of as many real test pictures; a ratio of 1 is as good as real.
    """

    version = 1
    image: Image = Input(about="samples, of the size of the real ones")
    train: Dataset = Input(about="the real pictures that were learned from, with their classes")
    test: Dataset = Input(about="real pictures that were not")

    def run(self, ctx: Context) -> Distance:
        from diffusion.evaluate import Judge, distances

        found = distances(Judge(self.train), self.train, self.test, self.image)
        report = (
            f"Fréchet distance to real training digits, {found.count} pictures each:\n"
            f"samples {found.samples:.2f}, real test digits {found.real:.2f}, ratio {found.ratio:.2f}"
        )
        return Distance(found.samples, found.real, found.ratio, report)
