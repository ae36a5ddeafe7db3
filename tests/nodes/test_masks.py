"""Masks, and pictures and latents put together."""

import numpy as np
import pytest
import torch

from diffusion.types import Level
from engine.context import Context
from nodes.arrange import (
    ImageBatch,
    ImageBlend,
    ImageComposite,
    ImageCrop,
    ImageFlip,
    ImageFromBatch,
    LatentBatch,
    LatentBlend,
    LatentFromBatch,
)
from nodes.mask import (
    BlurMask,
    FeatherMask,
    GrowMask,
    ImageFromMask,
    InvertMask,
    MaskCombine,
    MaskFromImage,
    RectangleMask,
    SolidMask,
)
from nodes.sockets import Image, Latent, Mask

CTX = Context()


def colour(*rgb: float, width: int = 4, height: int = 3, batch: int = 1) -> Image:
    return Image(np.tile(np.float32(rgb), (batch, height, width, 1)))


def dot(side: int = 21) -> Mask:
    values = np.zeros((1, side, side), np.float32)
    values[0, side // 2, side // 2] = 1
    return Mask(values)


@pytest.mark.parametrize(
    ("channel", "value"), [("luminance", 0.299 + 0.587 * 0.5), ("red", 1), ("green", 0.5), ("blue", 0)]
)
def test_a_mask_of_a_channel(channel, value):
    mask = MaskFromImage(image=colour(1, 0.5, 0, batch=2), channel=channel).run(CTX).values
    assert mask.shape == (2, 3, 4)
    assert mask == pytest.approx(value)
    cut = MaskFromImage(image=colour(1, 0.5, 0), channel=channel, threshold=0.5).run(CTX).values
    assert (cut == (1 if value >= 0.5 else 0)).all()


def test_a_grey_picture_is_its_mask_and_back():
    grey = Image(np.random.default_rng(0).random((2, 3, 4, 1), np.float32))
    mask = MaskFromImage(image=grey, channel="red").run(CTX)
    assert np.array_equal(ImageFromMask(mask=mask).run(CTX).pixels, grey.pixels)
    assert np.array_equal(InvertMask(mask=mask).run(CTX).values, 1 - grey.pixels[..., 0])


@pytest.mark.parametrize("pixels", [1, 2, 7])
def test_growing_spreads_a_dot_nearly_as_far_in_every_direction(pixels):
    grown = GrowMask(mask=dot(), pixels=pixels).run(CTX).values[0]
    y, x = np.nonzero(grown)
    far = np.hypot(y - 10, x - 10)
    assert np.abs(x - 10).max() == np.abs(y - 10).max() == pixels
    assert far.max() <= 1.13 * pixels + 0.3
    assert GrowMask(mask=Mask(grown[None]), pixels=-pixels).run(CTX).values.sum() == 1


def test_growing_by_nothing_changes_nothing_and_the_input_stays_as_it_was():
    mask = dot()
    assert np.array_equal(GrowMask(mask=mask, pixels=0).run(CTX).values, dot().values)
    GrowMask(mask=mask, pixels=3).run(CTX)
    assert np.array_equal(mask.values, dot().values)


def test_a_blur_keeps_the_sum_and_a_solid_mask():
    blurred = BlurMask(mask=dot(41), sigma=2.0).run(CTX).values
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    assert blurred.max() == pytest.approx(1 / (2 * np.pi * 4), rel=0.02)
    solid = SolidMask(width=9, height=5, value=0.5).run(CTX)
    assert BlurMask(mask=solid, sigma=3.0).run(CTX).values == pytest.approx(0.5)
    assert BlurMask(mask=solid, sigma=0.0).run(CTX).values.shape == (1, 5, 9)


def test_feathering_fades_at_the_named_edges_alone():
    solid = SolidMask(width=8, height=6).run(CTX)
    values = FeatherMask(mask=solid, left=3, bottom=1).run(CTX).values[0]
    assert values[0].tolist() == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert values[:, 7].tolist() == [1, 1, 1, 1, 1, 0.5]


@pytest.mark.parametrize(
    ("operation", "value"),
    [("union", 0.75), ("intersect", 0.5), ("subtract", 0.25), ("difference", 0.25), ("add", 1), ("multiply", 0.375)],
)
def test_two_masks_in_one(operation, value):
    first, second = SolidMask(width=2, height=2, value=0.75).run(CTX), SolidMask(width=2, height=2, value=0.5).run(CTX)
    assert (MaskCombine(first=first, second=second, operation=operation).run(CTX).values == value).all()


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="the masks are 2 x 2 and 3 x 2; scale one"):
        MaskCombine(first=SolidMask(width=2, height=2).run(CTX), second=SolidMask(width=3, height=2).run(CTX)).run(CTX)


def test_a_rectangle_is_cut_off_at_the_edge():
    mask = RectangleMask(width=6, height=4, x=4, y=1, across=10, down=2).run(CTX).values
    assert mask.shape == (1, 4, 6)
    assert (mask[0].sum(0).tolist(), mask[0].sum(1).tolist()) == ([0, 0, 0, 0, 2, 2], [0, 2, 2, 0])


def test_a_crop_and_one_that_leaves_the_picture():
    image = Image(np.arange(24, dtype=np.float32).reshape(1, 4, 6, 1) / 24)
    assert np.array_equal(ImageCrop(image=image, x=1, y=2, width=3, height=2).run(CTX).pixels, image.pixels[:, 2:, 1:4])
    with pytest.raises(ValueError, match="the crop ends at 8, 2, and the picture is 6 x 4"):
        ImageCrop(image=image, x=5, y=1, width=3, height=1).run(CTX)


@pytest.mark.parametrize(
    ("how", "rows"),
    [
        ("horizontal", [[2, 1], [4, 3]]),
        ("vertical", [[3, 4], [1, 2]]),
        ("90", [[3, 1], [4, 2]]),
        ("180", [[4, 3], [2, 1]]),
        ("270", [[2, 4], [1, 3]]),
    ],
)
def test_flips_and_quarter_turns(how, rows):
    image = Image(np.float32([[1, 2], [3, 4]])[None, ..., None] / 4)
    assert (ImageFlip(image=image, how=how).run(CTX).pixels[0, ..., 0] * 4).tolist() == rows


@pytest.mark.parametrize(
    ("mode", "value"),
    [
        ("normal", 0.75),
        ("multiply", 0.1875),
        ("screen", 0.8125),
        ("overlay", 0.375),
        ("soft_light", 0.0625 * -0.5 + 0.375),
        ("difference", 0.5),
        ("add", 1),
    ],
)
def test_every_way_to_blend(mode, value):
    a, b = colour(0.25, 0.25, 0.25), Image(np.full((1, 3, 4, 1), 0.75, np.float32))
    blended = ImageBlend(image=a, other=b, share=1.0, mode=mode).run(CTX).pixels
    assert blended.shape == (1, 3, 4, 3)
    assert blended == pytest.approx(value)
    half = ImageBlend(image=a, other=b, mode=mode).run(CTX).pixels
    assert half == pytest.approx((0.25 + value) / 2)


def test_pasting_by_a_mask_at_a_place():
    ground, red = colour(0, 0, 0, width=5, height=4, batch=2), colour(1, 0, 0, width=3, height=2)
    mask = Mask(np.float32([[[1, 1, 0.5], [1, 1, 0]]]))
    pasted = ImageComposite(image=ground, overlay=red, mask=mask, x=3, y=-1).run(CTX).pixels
    assert pasted[1, :, :, 0].tolist() == [[0, 0, 0, 1, 1], [0] * 5, [0] * 5, [0] * 5]
    pasted = ImageComposite(image=ground, overlay=red, mask=mask, x=-1, y=0).run(CTX).pixels
    assert pasted[0, 0, :, 0].tolist() == [1, 0.5, 0, 0, 0]
    assert not ground.pixels.any()
    whole = Mask(np.ones((1, 4, 5), np.float32))
    assert ImageComposite(image=ground, overlay=red, mask=whole).run(CTX).pixels.sum() == 12


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": 9}, "at 9, 0 lies outside the picture of 5 x 4"),
        ({"mask": Mask(np.ones((1, 9, 9), np.float32))}, "the mask is 9 x 9, the overlay 3 x 2"),
        ({"overlay": colour(1, 0, 0, width=3, height=2, batch=3)}, "do not pair"),
    ],
)
def test_what_cannot_be_pasted(given, message):
    both = {"image": colour(0, 0, 0, width=5, height=4, batch=2), "overlay": colour(1, 0, 0, width=3, height=2)}
    with pytest.raises(ValueError, match=message):
        ImageComposite(**{**both, **given}).run(CTX)


def test_pictures_in_a_batch_and_out_of_it():
    grey = Image(np.full((1, 3, 4, 1), 0.5, np.float32))
    batch = ImageBatch(images=[colour(1, 0, 0, batch=2), grey]).run(CTX)
    assert batch.pixels.shape == (3, 3, 4, 3)
    assert batch.pixels[2, 0, 0].tolist() == [0.5, 0.5, 0.5]
    assert np.array_equal(ImageFromBatch(image=batch, index=1, count=2).run(CTX).pixels, batch.pixels[1:])
    with pytest.raises(ValueError, match="the batch has 3 pictures, not 4"):
        ImageFromBatch(image=batch, index=2, count=2).run(CTX)
    with pytest.raises(ValueError, match="the pictures are 4 x 3 and 5 x 3; scale them"):
        ImageBatch(images=[grey, colour(0, 0, 0, width=5)]).run(CTX)
    with pytest.raises(ValueError, match="link some"):
        ImageBatch(images=[]).run(CTX)


def latent(value: float, batch: int = 1, **more) -> Latent:
    return Latent(torch.full((batch, 4, 2, 3), float(value)), **{"space": "sd", **more})


def test_latents_in_a_batch_and_out_of_it():
    masked = latent(2, mask=torch.zeros(1, 1, 2, 3))
    both = LatentBatch(latents=[latent(1, batch=2), masked]).run(CTX)
    assert both.samples[:, 0, 0, 0].tolist() == [1, 1, 2]
    assert both.mask[:, 0, 0, 0].tolist() == [1, 1, 0]
    last = LatentFromBatch(latent=both, index=2).run(CTX)
    assert (last.samples[0, 0, 0, 0], last.mask.shape) == (2, (1, 1, 2, 3))
    with pytest.raises(ValueError, match="the batch has 3 latents, not 4"):
        LatentFromBatch(latent=both, index=3).run(CTX)
    with pytest.raises(ValueError, match="link some"):
        LatentBatch(latents=[]).run(CTX)


def test_latents_mixed():
    mixed = LatentBlend(latent=latent(1, batch=2), other=latent(3), share=0.25).run(CTX)
    assert mixed.samples.shape == (2, 4, 2, 3)
    assert (mixed.samples == 1.5).all()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (latent(1, space="flux"), "different spaces: sd and flux"),
        (Latent(torch.zeros(1, 4, 3, 3), "sd"), "different sizes: 3 x 2 and 3 x 3; scale one with LatentScale"),
        (latent(1, state="noisy", level=Level(1, 0.7, 0.7)), "one is clean, the other noisy"),
        (latent(1, batch=3), "one batch has 2 latents, and the other 3"),
    ],
)
def test_latents_that_do_not_fit(other, message):
    with pytest.raises(ValueError, match=message):
        LatentBlend(latent=latent(1, batch=2), other=other).run(CTX)
