"""Are the samples any good? Two questions, both answered by small classifiers trained on real pictures.

    classify             is a sample that was asked to be a 7 read as a 7?
    frechet_distance     do samples, all together, look like the real ones, in all their variety?

The Fréchet distance compares Gaussians fitted to features (Heusel et al. 2017):

    d = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))

It falls with the number of pictures even where nothing differs, so it is given beside the distance of as many real
test pictures to the same real training pictures: 1 times that is as good as real. Guidance makes samples surer and
less varied, so it raises the distance while more samples are read right.
"""

from dataclasses import dataclass

import numpy as np

from diffusion.types import Dataset, Image

HIDDEN = 64
"""Features of the small network whose hidden layer the Fréchet distance is taken in."""
ENOUGH = 6000
"""Pictures that a judge learns from at most, drawn at random: it is to be ready in seconds."""


class Judge:
    """Two classifiers of pictures, made from real ones alone; the same data give the same judge.

    dataset: needs labels. A support vector machine reads the class; a network of one hidden layer gives the features.
    Raises ValueError if the data set has no labels or fewer than two classes.
    """

    def __init__(self, dataset: Dataset) -> None:
        from sklearn.neural_network import MLPClassifier  # type: ignore[import-untyped]
        from sklearn.svm import SVC  # type: ignore[import-untyped]

        if dataset.labels is None or len(np.unique(dataset.labels)) < 2:
            raise ValueError("judging needs a data set with at least two classes")
        self.class_names = dataset.class_names
        self._shape = dataset.alike.images.shape[1:]
        count = min(len(dataset), ENOUGH)
        real, labels = self._rows(_drawn(dataset.images, count)), _drawn(dataset.labels, count)
        self._reader = SVC(C=10, gamma="scale").fit(real, labels)
        # it ends when the loss has stopped falling, about 90 rounds for digits: enough for features that tell
        network = MLPClassifier((HIDDEN,), max_iter=500, tol=1e-3, n_iter_no_change=5, random_state=0)
        self._network = network.fit(real, labels)

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The class of each picture: int64 (N,). images: (N, H, W, C), uint8, or float in 0 … 1."""
        labels: np.ndarray = self._reader.predict(self._rows(images)).astype(np.int64)
        return labels

    def features(self, images: np.ndarray) -> np.ndarray:
        """What the hidden layer makes of each picture: (N, HIDDEN), at least 0."""
        # h = max(0, x W + b)
        hidden: np.ndarray = np.maximum(0, self._rows(images) @ self._network.coefs_[0] + self._network.intercepts_[0])
        return hidden

    def _rows(self, images: np.ndarray) -> np.ndarray:
        if images.shape[1:] != self._shape:
            raise ValueError(f"the judge knows pictures of {self._shape}, and these are {images.shape[1:]}")
        # 8-bit steps, as a saved picture has them
        whole = images if images.dtype == np.uint8 else np.rint(images * 255)
        return whole.reshape(len(images), -1).astype(np.float64) / 255


@dataclass(frozen=True)
class Distances:
    """Fréchet distances to the real training pictures, of samples and of real test pictures, `count` of each."""

    samples: float
    real: float
    count: int

    @property
    def ratio(self) -> float:
        """How many times farther samples are than real pictures; about 1 is as good as real."""
        return self.samples / self.real


def distances(judge: Judge, train: Dataset, test: Dataset, samples: Image) -> Distances:
    """Both distances, on equally many pictures: all of the smaller set, as many drawn at random of the larger.

    Raises ValueError if either has fewer than two pictures.
    """
    count = min(len(test), len(samples.pixels))
    reference = judge.features(train.images)
    drawn = [_drawn(images, count) for images in (samples.pixels, test.images)]
    model, real = (distance_of_features(judge.features(images), reference) for images in drawn)
    return Distances(model, real, count)


def distance_of_features(a: np.ndarray, b: np.ndarray) -> float:
    """The Fréchet distance of two sets of features, (N, F) and (M, F). ValueError if one has fewer than two rows."""
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a Fréchet distance needs two pictures on each side at least, not {len(a)} and {len(b)}")
    return frechet_distance(a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))


def frechet_distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """d of two Gaussians: means (F,) and covariances (F, F). At least 0."""
    # (C1 C2)^(1/2) has the trace of (R C2 R)^(1/2) with R = C1^(1/2), which is symmetric
    values, vectors = np.linalg.eigh(cov1)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ cov2 @ root).clip(min=0)).sum()
    # d = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)
    return max(0.0, float(((mean1 - mean2) ** 2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * trace))


def _drawn(items: np.ndarray, count: int) -> np.ndarray:
    if len(items) == count:
        return items
    return items[np.sort(np.random.default_rng(0).permutation(len(items))[:count])]
