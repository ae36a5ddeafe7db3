"""T5 beside the CLIPs: how long a text it reads, weights in it, and what an SD3 without it is fed."""

import pytest
import torch

from diffusion.folder import recipes
from diffusion.sd3 import StableDiffusion3
from diffusion.types import Prompt

LENGTH = 12


@pytest.fixture(scope="module")
def read(checkpoint):
    """A function from a kind and a prompt to the conditioning."""
    family, loaded = StableDiffusion3(), {}

    def go(kind, text, **more):
        recipe = recipes(checkpoint(kind))[1]
        if kind not in loaded:
            loaded[kind] = family.load(recipe, torch.float32).eval()
        return loaded[kind], family.encode_text(loaded[kind], recipe, Prompt(text, max_tokens=LENGTH, **more))

    return go


def tokens(module, text):
    """T5's last layer of a text, (LENGTH, width), as the library makes it."""
    ids = module.t5.tokenizer(text, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return module.t5.encoder(ids.input_ids)[0][0]


@pytest.mark.parametrize("text", ["a fox", "", "a fox in the snow, and more", "unknown: ÄÖ", "  two  spaces "])
def test_it_reads_what_the_library_reads(read, text):
    module, made = read("sd3", text)
    embeds = made.tensors["prompt_embeds"][0]
    assert embeds.shape[0] == 77 + LENGTH
    torch.testing.assert_close(embeds[77:], tokens(module, text))


def test_a_text_of_its_own(read):
    module, made = read("sd3", "a fox", text_3="grass")
    torch.testing.assert_close(made.tensors["prompt_embeds"][0, 77:], tokens(module, "grass"))
    _, plain = read("sd3", "a fox")
    torch.testing.assert_close(made.tensors["prompt_embeds"][0, :77], plain.tensors["prompt_embeds"][0, :77])
    assert made.text == "a fox\ngrass"


def test_weights_as_comfy_and_a1111_apply_them(read):
    module, made = read("sd3", "fox", weighting="comfy")
    plain = tokens(module, "fox")
    torch.testing.assert_close(made.tensors["prompt_embeds"][0, 77:], plain)
    # f, o, x stand behind the mark that begins a word
    w = torch.ones(LENGTH, 1)
    w[:4] = 1.5
    _, made = read("sd3", "(fox:1.5)", weighting="comfy")
    empty = tokens(module, "")
    torch.testing.assert_close(made.tensors["prompt_embeds"][0, 77:], empty + w * (plain - empty))
    _, made = read("sd3", "(fox:1.5)", weighting="a1111")
    changed = w * plain
    torch.testing.assert_close(made.tensors["prompt_embeds"][0, 77:], changed * (plain.mean() / changed.mean()))


def test_break_begins_a_chunk_for_clip_alone(read):
    module, made = read("sd3", "a BREAK fox", weighting="a1111")
    embeds = made.tensors["prompt_embeds"][0]
    assert embeds.shape[0] == 2 * 77 + LENGTH
    torch.testing.assert_close(embeds[2 * 77 :], tokens(module, "a fox"))


def test_without_it_there_are_zeros_in_its_place(read):
    _, made = read("sd3-without-t5", "a fox")
    embeds = made.tensors["prompt_embeds"][0]
    assert embeds.shape == (77 + LENGTH, 32)
    assert not embeds[77:].any()
    assert embeds[:77].any()
