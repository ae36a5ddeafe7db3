"""An imported graph draws what ComfyUI's arithmetic gives, here written out in its coordinates (Karras et al. 2022).

x' = x + sigma eps is not scaled by alpha, the network sees x' / sqrt(sigma^2 + 1) and the nearest timestep, and noise
is drawn once for the whole batch.
"""

import json
import math
from itertools import pairwise

import graphs
import pytest
import torch
from diffusers import UNet2DConditionModel

from commands.importing.source import imported
from engine.api import load, run
from engine.cache import Cache
from engine.context import Settings
from nodes import registry


def table():
    """sigma of each timestep."""
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    product = torch.cumprod(1 - beta, 0)
    return ((1 - product) / product) ** 0.5


def normal(sigmas, n):
    logs = sigmas.log()
    found = []
    for t in torch.linspace(999, 0, n, dtype=torch.float64):
        low = min(int(t), 998)
        found.append(float((logs[low] + (t - low) * (logs[low + 1] - logs[low])).exp()))
    return [*found, 0.0]


def karras(sigmas, n):
    low, high = float(sigmas[0]) ** (1 / 7), float(sigmas[-1]) ** (1 / 7)
    return [*((high + i / (n - 1) * (low - high)) ** 7 for i in range(n)), 0.0]


def euler(denoised, x, sigmas):
    for s, after in pairwise(sigmas):
        x = x + (x - denoised(x, s)) / s * (after - s)
    return x


def dpmpp_2m(denoised, x, sigmas):
    old = None
    for i, (s, after) in enumerate(pairwise(sigmas)):
        x0 = denoised(x, s)
        if after == 0:
            return x0
        h = math.log(s / after)
        best = x0
        if old is not None:
            r = math.log(sigmas[i - 1] / s) / h
            best = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * old
        x = after / s * x - math.expm1(-h) * best
        old = x0
    return x


CASES = {
    "euler, normal": (graphs.plain(), euler, normal, 1.0, 1),
    "euler, karras, a batch": (graphs.batch(), euler, normal, 1.0, 3),
    "dpmpp_2m, karras": (graphs.plain(sampler_name="dpmpp_2m", scheduler="karras", steps=5), dpmpp_2m, karras, 1.0, 1),
    "from a picture": (graphs.from_picture(0.6, steps=3), euler, normal, 0.6, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_ksampler(name, checkpoint, tmp_path):
    from PIL import Image

    graph, walk, scheduler, denoise, batch = CASES[name]
    (tmp_path / "sd15").symlink_to(checkpoint("sd15"))
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(tmp_path / "input.png")
    (tmp_path / "f.json").write_text(json.dumps(graph.api()))
    (tmp_path / "w.json").write_text(imported(tmp_path / "f.json").text)
    targets = ["denoise", "positive", "negative", *(["encode"] if denoise < 1 else [])]
    workflow = load(tmp_path / "w.json", registry=registry(), targets=targets)
    made = run(workflow, settings=Settings(out=tmp_path / "out", folder=tmp_path), cache=Cache()).values

    unet = UNet2DConditionModel.from_pretrained(checkpoint("sd15") / "unet")
    sampled = next(inputs for kind, inputs in graph.nodes.values() if kind == "KSampler")
    every, steps = table(), sampled["steps"]
    sigmas = scheduler(every, int(steps / denoise))[-(steps + 1) :]
    noise = torch.randn((batch, 4, 8, 8), generator=torch.Generator().manual_seed(sampled["seed"]))
    x = noise * (math.sqrt(1 + sigmas[0] ** 2) if denoise == 1 else sigmas[0])
    if denoise < 1:
        x = x + made["encode"].samples

    def says(x, sigma, side):
        t = (math.log(sigma) - every.log()).abs().argmin()
        text = made[side].tensors["prompt_embeds"].expand(batch, -1, -1)
        return x - sigma * unet(x / math.sqrt(sigma**2 + 1), t, text).sample

    def denoised(x, sigma):
        away = says(x, sigma, "negative")
        return away + sampled["cfg"] * (says(x, sigma, "positive") - away)

    with torch.no_grad():
        expected = walk(denoised, x, sigmas)
    torch.testing.assert_close(
        made["denoise"].samples, expected, rtol=0, atol=3e-6 * max(float(expected.abs().max()), 30)
    )
