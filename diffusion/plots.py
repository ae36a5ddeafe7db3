"""Curves as pictures: what schedules do to a picture over time, and how a training went."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from diffusion.schedule import Table
from diffusion.types import Image

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Told apart also by those who do not see red and green (Okabe & Ito 2008)."""
STYLES = ("-", "--", "-.", ":")


def plot_schedules(tables: Mapping[str, Table]) -> Image:
    """alpha_bar, signal-to-noise ratio and beta of several schedules by name, over the time from picture to noise."""
    figure = Figure(figsize=(12, 3.8), dpi=100, layout="constrained")
    kept, ratio, added = figure.subplots(1, 3)
    for i, (name, table) in enumerate(tables.items()):
        time = (np.arange(len(table.t)) + 1) / len(table.t)
        line = {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)], "linewidth": 2}
        kept.plot(time, table.alpha_bar.numpy(), label=name, **line)
        with np.errstate(divide="ignore"):
            snr = table.snr.numpy()
        ratio.plot(time, np.where(snr > 0, snr, np.nan), label=name, **line)
        if table.kind != "flow":
            added.plot(time, table.beta.numpy(), label=name, **line)
    _dress(kept, "share of the picture left", "alpha_bar = alpha²")
    _dress(ratio, "signal-to-noise ratio", "SNR = alpha² / sigma²")
    _dress(added, "noise added at each step", "beta")
    for axes in (ratio, added):
        axes.set_yscale("log")
    for axes in (kept, ratio, added):
        axes.set_xlabel("t / T")
    kept.legend(frameon=False)
    return _picture(figure)


def plot_loss(losses: Sequence[float], title: str = "training loss") -> Image:
    """The loss of every step, faint, and its mean over the last fiftieth of the training, strong.

    Raises ValueError if there is no loss.
    """
    if not losses:
        raise ValueError("there are no losses to plot")
    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    values, steps = np.asarray(losses, dtype=float), np.arange(1, len(losses) + 1)
    width = max(1, len(values) // 50)
    # mean of the last `width` values, of fewer at the start
    total = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(steps - width, 0)
    smooth = (total[steps] - total[low]) / (steps - low)
    axes.plot(steps, values, color=COLOURS[0], alpha=0.25, linewidth=1)
    axes.plot(steps, smooth, color=COLOURS[0], linewidth=2, label=f"mean of {width}" if width > 1 else "each step")
    axes.set_yscale("log" if values.min() > 0 else "linear")
    axes.set_xlabel("step")
    _dress(axes, title, "mean squared error")
    axes.legend(frameon=False)
    return _picture(figure)


def plot_curves(x: Sequence[float], curves: Mapping[str, Sequence[float]], unit: str, title: str) -> Image:
    """Shares in 0 … 1 over the values x, a curve for each name."""
    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    for i, (name, shares) in enumerate(curves.items()):
        axes.plot(x, shares, color=COLOURS[i % len(COLOURS)], marker="o", label=name)
    axes.set_xlabel(unit)
    axes.set_ylim(0, 1.02)
    _dress(axes, title, "share")
    axes.legend(frameon=False)
    return _picture(figure)


def _dress(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _picture(figure: Figure) -> Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    return Image((pixels[None] / np.float32(255)).astype(np.float32))
