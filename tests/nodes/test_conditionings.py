"""Conditionings made of others: their arithmetic, and what the network is asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from diffusion import folder
from diffusion.conditions import averaged, combined, concatenated, size_ids, sized, told_scale, zeroed
from diffusion.guidance import Guidance, Part, Sides, rows
from diffusion.parameterisation import split
from diffusion.refiner import told
from diffusion.regions import Frame, laid_out, weight_of, window_of
from diffusion.schedule import schedule
from diffusion.types import Conditioning, Level, ScheduleConfig, Scope
from engine.values import socket_of
from nodes import sockets

LEVEL = Level(500, 0.6, 0.8)
STEPS = schedule(ScheduleConfig(), 10)
FRAME = Frame(2, 40, 48, 8, 1, STEPS)


def rand(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def words(value, tokens=3, **scope):
    """A conditioning of one prompt, filled with a value."""
    tensors = {"prompt_embeds": torch.full((1, tokens, 4), float(value)), "pooled": torch.full((1, 2), float(value))}
    return Conditioning(tensors, f"say {value}", Scope(**scope))


# What is made of two


def test_concatenated_tokens_stand_one_after_the_other():
    both = concatenated(combined(words(1), words(2)), words(3, tokens=2))
    for part, value in zip(both.parts, (1, 2), strict=True):
        assert part.tensors["prompt_embeds"][0, :, 0].tolist() == [value] * 3 + [3] * 2
        assert part.tensors["pooled"][0].tolist() == [value, value]
    assert both.text == "say 1\nsay 3"


@pytest.mark.parametrize(("tokens", "expected"), [(3, [1.75] * 3), (5, [1.75] * 3), (2, [1.75, 1.75, 0.25])])
def test_averaged_embeddings_lie_between_two(tokens, expected):
    between = averaged(words(1), words(2, tokens=tokens), 0.25)
    assert between.tensors["prompt_embeds"][0, :, 0].tolist() == expected
    assert between.tensors["pooled"][0].tolist() == [1.75, 1.75]


def test_what_changes_a_conditioning_changes_all_its_parts():
    both = combined(words(1, strength=0.5), words(2, start=0.5))
    for change, name, expected in (
        (zeroed, "pooled", [[0, 0]]),
        (lambda c: sized(c, size_ids(64, 48)), "time_ids", [[48, 64, 0, 0, 48, 64]]),
        (lambda c: told_scale(c, 3.5), "guidance", [3.5]),
    ):
        changed = change(both)
        assert [part.tensors[name].tolist() for part in changed.parts] == [expected] * 2
        assert [(part.scope.strength, part.scope.start) for part in changed.parts] == [(0.5, 0.0), (1.0, 0.5)]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (words(1), combined(words(1), words(2)), "the second conditioning is a combination"),
        (Conditioning({"labels": torch.tensor([1])}), words(1), "holds no text embeddings"),
        (words(1), Conditioning({"prompt_embeds": torch.zeros(1, 3, 5)}), "4 and 5 wide"),
        (words(1), Conditioning({"prompt_embeds": torch.zeros(2, 3, 4)}), "has 1 prompts, and the other 2"),
    ],
)
def test_what_cannot_become_one_says_why(first, second, message):
    with pytest.raises(ValueError, match=message):
        concatenated(first, second)
    with pytest.raises(ValueError, match=message):
        averaged(first, second, 0.5)


# Where and how much


def slow_weight(height, width, window, strength):
    """The weight of an area, row by row and column by column."""
    top, left, rows_, columns = window
    m = torch.full((rows_, columns), float(strength))
    for axis, (at, length, whole) in enumerate(((top, rows_, height), (left, columns, width))):
        reach = min(8, length // 4)
        for t in range(reach):
            if at != 0:
                m.select(axis, t).mul_((t + 1) / reach)
            if at + length < whole:
                m.select(axis, length - 1 - t).mul_((t + 1) / reach)
    return m


AREAS = {
    "a corner": (Scope(area=(0, 0, 192, 160)), (0, 0, 20, 24)),
    "in the middle": (Scope(area=(64, 80, 200, 100), strength=2.5), (10, 8, 12, 25)),
    "over the edge": (Scope(area=(300, 300, 200, 200)), (37, 37, 3, 11)),
    "fractions": (Scope(area=(0.5, 0.25, 0.5, 0.5), unit="fractions"), (10, 24, 20, 24)),
    "everything": (Scope(area=(0, 0, 1, 1), unit="fractions", strength=3), (0, 0, 40, 48)),
    "small": (Scope(area=(8, 8, 16, 16)), (1, 1, 2, 2)),
}


@pytest.mark.parametrize("case", AREAS)
def test_an_area_is_a_window_whose_weight_rises_from_its_edges(case):
    scope, window = AREAS[case]
    assert window_of(scope, FRAME) == window
    assert torch.allclose(weight_of(scope, window, FRAME)[0, 0], slow_weight(40, 48, window, scope.strength))


def test_windows_are_whole_patches_of_networks_that_see_patches():
    assert window_of(Scope(area=(8, 8, 24, 16)), replace(FRAME, unit=2)) == (0, 0, 4, 4)


def test_a_mask_is_a_weight_of_the_size_of_the_latent():
    mask = np.zeros((1, 320, 384), np.float32)
    mask[:, 80:240, 96:288] = 1
    weight = weight_of(Scope(mask=mask, strength=2), None, FRAME)
    assert weight.shape == (1, 1, 40, 48)
    assert weight[0, 0, 10:30, 12:36].unique().tolist() == [2]
    assert float(weight.sum()) == 2 * 20 * 24
    cropped = Scope(mask=mask, crop=True)
    assert window_of(cropped, FRAME) == (10, 12, 20, 24)
    assert weight_of(cropped, (10, 12, 20, 24), FRAME).shape == (1, 1, 20, 24)
    assert window_of(Scope(mask=0 * mask, crop=True), FRAME) == (0, 0, 8, 8)
    two = np.concatenate([mask, 0 * mask])
    assert weight_of(Scope(mask=two), None, FRAME)[:, 0, 20, 20].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (Scope(area=(400, 0, 64, 64)), "has no place in a picture of 384 x 320"),
        (Scope(area=(0, 0, 4, 64)), "has no place"),
        (Scope(mask=np.ones((3, 8, 8), np.float32)), "3 masks need a batch that is a multiple of 3, not 2"),
        (Scope(start=0.5, end=0.2), "0 <= start <= stop <= 1"),
    ],
)
def test_what_has_no_place_says_why(scope, message):
    with pytest.raises(ValueError, match=message):
        laid_out([replace(words(1), scope=scope)], FRAME, lambda part: rows(part, 2))


# What the network is asked


class Network:
    """o = value (x + 1) of each row; remembers rows, sizes and tokens of each call."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, level, inputs):
        self.calls.append((x.shape[0], tuple(x.shape[2:]), inputs["prompt_embeds"].shape[1]))
        return inputs["pooled"][:, :1, None, None] * (x + 1)


def guided(network, positive, negative, scale, level=LEVEL, prediction="epsilon"):
    x = rand(2, 4, 40, 48)
    sides = laid_out([positive, negative], FRAME, lambda part: rows(part, 2))
    return x, Guidance(network, prediction, *sides, scale).output(x, level)


def slow(x, positive, negative, scale, level, prediction):
    """ComfyUI's way: x0 of each condition on its rectangle, summed with its weight and divided by the weights' sum."""
    answers = []
    for side in (positive, negative):
        total, count = torch.zeros_like(x), torch.full_like(x, 1e-37)
        for value, scope, (top, left, h, w) in side:
            seen = x[..., top : top + h, left : left + w]
            x0, _ = split(prediction, value * (seen + 1), seen, level)
            m = slow_weight(40, 48, (top, left, h, w), scope)
            total[..., top : top + h, left : left + w] += m * x0
            count[..., top : top + h, left : left + w] += m
        answers.append(total / count)
    return answers[1] + scale * (answers[0] - answers[1])


WHOLE = (0, 0, 40, 48)
MIXES = {
    "two prompts": ([words(1), words(3)], [words(2)],
                    [(1, 1, WHOLE), (3, 1, WHOLE)], [(2, 1, WHOLE)], [(6, (40, 48), 3)]),
    "strengths": ([words(1, strength=0.5), words(3, strength=2.0)], [words(2)],
                  [(1, 0.5, WHOLE), (3, 2, WHOLE)], [(2, 1, WHOLE)], [(6, (40, 48), 3)]),
    "an area": ([words(1), words(3, area=(64, 80, 200, 100))], [words(2)],
                [(1, 1, WHOLE), (3, 1, (10, 8, 12, 25))], [(2, 1, WHOLE), (2, 1, (10, 8, 12, 25))],
                [(4, (40, 48), 3), (4, (12, 25), 3)]),
    "left and right": ([words(1, area=(0, 0, 192, 320)), words(3, area=(192, 0, 192, 320), strength=2.0)], [words(2)],
                       [(1, 1, (0, 0, 40, 24)), (3, 2, (0, 24, 40, 24))],
                       [(2, 1, WHOLE), (2, 1, (0, 0, 40, 24)), (2, 2, (0, 24, 40, 24))],
                       [(8, (40, 24), 3), (2, (40, 48), 3)]),
    "an area within an area of the negative": (
        [words(1), words(3, area=(0, 0, 64, 64))], [words(2), words(4, area=(0, 0, 128, 128))],
        [(1, 1, WHOLE), (3, 1, (0, 0, 8, 8)), (1, 1, (0, 0, 16, 16))],
        [(2, 1, WHOLE), (4, 1, (0, 0, 16, 16)), (4, 1, (0, 0, 8, 8))],
        [(4, (40, 48), 3), (4, (8, 8), 3), (4, (16, 16), 3)]),
    "a part that nothing covers": ([words(3, area=(0, 0, 192, 320))], [words(2, area=(0, 0, 192, 320))],
                                   [(3, 1, (0, 0, 40, 24))], [(2, 1, (0, 0, 40, 24))], [(4, (40, 24), 3)]),
    "more tokens": ([words(1, tokens=6)], [words(2)], [(1, 1, WHOLE)], [(2, 1, WHOLE)],
                    [(2, (40, 48), 3), (2, (40, 48), 6)]),
}  # fmt: skip


def several(parts):
    first, *others = parts
    for other in others:
        first = combined(first, other)
    return first


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v"])
@pytest.mark.parametrize("case", MIXES)
def test_conditions_are_mixed_as_comfyui_mixes_them(case, prediction):
    positive, negative, plain_positive, plain_negative, calls = MIXES[case]
    network = Network()
    x, o = guided(network, several(positive), several(negative), 3.0, prediction=prediction)
    expected = slow(x, plain_positive, plain_negative, 3.0, LEVEL, prediction)
    assert torch.allclose(split(prediction, o, x, LEVEL)[0], expected, atol=1e-4)
    assert sorted(network.calls) == sorted(calls)


def test_a_condition_counts_only_in_its_part_of_the_schedule():
    network = Network()
    both = several([words(1, end=0.5), words(3, start=0.5), words(7, start=0.9, strength=0.0)])
    for step, value in ((0, 1), (4, 1), (5, 3), (9, 3)):
        x, o = guided(network, both, words(0), 2.0, STEPS.levels[step])
        assert torch.allclose(o, 2.0 * value * (x + 1), atol=1e-4)
    assert {rows_ for rows_, _, _ in network.calls} == {4, 6}


def test_what_lies_over_the_picture_is_cut_to_the_window():
    hint = rand(2, 3, 320, 384)
    side = [words(1, area=(64, 80, 200, 96))]
    (((part,),)) = laid_out(side, FRAME, lambda one: {**rows(one, 2), "hint": hint, "wide": rand(2, 1, 4, 768)})
    assert torch.equal(part.inputs["hint"], hint[..., 80:176, 64:264])
    assert part.inputs["wide"].shape == (2, 1, 4, 768)


def test_a_window_is_told_the_size_of_the_picture(checkpoint):
    xl, refiner, plain = (folder.recipes(checkpoint(kind))[0] for kind in ("sdxl", "sdxl-refiner", "sd15"))
    assert told(xl, 384, 320, 2)["time_ids"].tolist() == [[320, 384, 0, 0, 320, 384]] * 2
    assert told(refiner, 384, 320, 1, negative=True)["aesthetic_score"].tolist() == [2.5]
    assert told(plain, 384, 320, 2) == {}


def test_the_same_part_is_asked_once():
    network, part = Network(), Part(rows(words(2), 2))
    one, two = Sides(network, "epsilon", [[part], [part]])(rand(2, 4, 8, 8), LEVEL)
    assert torch.equal(one, two)
    assert [call[0] for call in network.calls] == [2]


def test_k9_a_conditioning_of_several_parts_comes_back():
    socket = socket_of(sockets.Conditioning)
    mask = np.eye(4, dtype=np.float32)[None]
    area = words(2, area=(1, 2, 3, 4), unit="fractions", strength=0.5, start=0.25, end=0.75)
    value = several([words(1, mask=mask, crop=True), area, words(3)])
    back = socket.unpack(socket.pack(value))
    assert len(back.parts) == 3
    for mine, theirs in zip(value.parts, back.parts, strict=True):
        assert mine.text == theirs.text
        assert {n: t.tolist() for n, t in mine.tensors.items()} == {n: t.tolist() for n, t in theirs.tensors.items()}
        assert replace(mine.scope, mask=None).__repr__() == replace(theirs.scope, mask=None).__repr__()
    assert np.array_equal(back.scope.mask, mask)
