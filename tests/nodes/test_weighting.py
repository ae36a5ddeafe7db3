"""Weights in prompts, and prompts of any length: what the encoders make of them, against the two definitions."""

import pytest
import torch
from text_to_image import graph
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from engine.context import Context
from engine.errors import WeftError
from nodes.load import LoadCheckpoint
from nodes.text import TextEncode

ENCODERS = {
    "sd15": [("", CLIPTextModel)],
    "sd21": [("", CLIPTextModel)],
    "sdxl": [("", CLIPTextModel), ("_2", CLIPTextModelWithProjection)],
}


@pytest.fixture(scope="module")
def encode(checkpoint):
    """A function from a kind of checkpoint, a text and other inputs of TextEncode to what was said and the tensors."""

    def go(kind, text, **inputs):
        said = []
        ctx = Context(node="wanted", emit=said.append)
        encoder = LoadCheckpoint(source=str(checkpoint(kind))).run(ctx).text_encoder
        made = TextEncode(text_encoder=encoder, text=text, **inputs).run(ctx)
        return [getattr(event, "text", None) or str(event.problem) for event in said], made.tensors

    return go


def plain_chunks(tokenizer, words, weighting):
    """(id, weight) of words with weights, 75 at a time: a1111 fills up, comfy keeps words whole."""
    chunks = [[]]
    for word, weight in words:
        ids = tokenizer(word, add_special_tokens=False).input_ids
        if weighting == "comfy" and len(chunks[-1]) + len(ids) > 75:
            chunks.append([])
        for id in ids:
            if len(chunks[-1]) == 75:
                chunks.append([])
            chunks[-1].append((id, weight))
    return chunks


@torch.no_grad()
def reference(folder, kind, words, weighting, skip=0):
    """The embeddings of words with weights, and the pooled output, written out plainly."""
    sides = []
    for end, cls in ENCODERS[kind]:
        tokenizer = CLIPTokenizer.from_pretrained(folder / f"tokenizer{end}")
        encoder = cls.from_pretrained(folder / f"text_encoder{end}")

        def look(ids, tokenizer=tokenizer, encoder=encoder):
            ids = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
            ids += [tokenizer.pad_token_id] * (77 - len(ids))
            out = encoder(torch.tensor([ids]), output_hidden_states=True)
            if kind == "sdxl":
                return out.hidden_states[-2 - skip], out
            last = getattr(encoder, "text_model", encoder).final_layer_norm
            return last(out.hidden_states[-1 - skip]), out

        found, first = [], None
        for chunk in plain_chunks(tokenizer, words, weighting):
            z, out = look([id for id, _ in chunk])
            first = first or out
            w = torch.ones(1, 77, 1)
            w[0, 1 : len(chunk) + 1, 0] = torch.tensor([weight for _, weight in chunk])
            if weighting == "a1111":
                found.append(z * w * (z.mean() / (z * w).mean()))
            else:
                empty, _ = look([])
                found.append(empty + (z - empty) * w)
        sides.append(torch.cat(found, 1))
    return torch.cat(sides, -1), first


PROMPTS = {
    "one weight": ("a (fox:1.5) in snow", {}),
    "a weight of zero": ("a (fox:0) in snow", {}),
    "no weights": ("a fox", {}),
    "clip skip": ("a (fox:1.5)", {"clip_skip": 1}),
    "two chunks": ("(fox:1.2) " + "abcde " * 16, {}),
    "three chunks": ("abc " * 40 + "(abcdef:0.5) " * 8, {}),
}


def parted(text):
    """Words and weights of the prompts above."""
    for word in text.split():
        name, _, weight = word.strip("()").partition(":")
        yield name, float(weight or 1)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("weighting", ["a1111", "comfy"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_weights_are_what_both_programs_make_of_them(checkpoint, encode, kind, weighting, prompt):
    text, inputs = PROMPTS[prompt]
    _, tensors = encode(kind, text, weighting=weighting, **inputs)
    embeds, out = reference(checkpoint(kind), kind, list(parted(text)), weighting, inputs.get("clip_skip", 0))
    assert tensors["prompt_embeds"].shape == embeds.shape
    assert torch.allclose(tensors["prompt_embeds"], embeds, atol=1e-5)
    if kind == "sdxl":
        assert torch.allclose(tensors["pooled"], out.text_embeds, atol=1e-5)


@pytest.mark.parametrize("weighting", ["a1111", "comfy"])
def test_without_weights_a_short_prompt_is_as_ever(encode, weighting):
    plain, same = encode("sdxl", "a fox")[1], encode("sdxl", "a fox", weighting=weighting)[1]
    for name in plain:
        assert torch.allclose(plain[name], same[name], atol=1e-6)


@pytest.mark.parametrize(("weighting", "tokens"), [("none", 9), ("a1111", 3), ("comfy", 3)])
def test_brackets_are_tokens_only_where_weights_are_not_read(encode, weighting, tokens):
    assert encode("sd15", "(fox:1.5)", weighting=weighting)[0] == [f"{tokens} tokens"]


@pytest.mark.parametrize("weighting", ["a1111", "comfy"])
def test_both_encoders_of_sdxl_get_as_many_chunks(encode, weighting):
    said, tensors = encode("sdxl", "a fox", text_2="abc " * 60, weighting=weighting)
    assert said == ["180 tokens in 3 chunks"]
    assert tensors["prompt_embeds"].shape == (1, 3 * 77, 32)
    empty = encode("sdxl", "", text_2="abc " * 60, weighting=weighting)[1]["prompt_embeds"]
    # behind the shorter text stand empty chunks
    assert torch.allclose(tensors["prompt_embeds"][:, 77:], empty[:, 77:], atol=1e-5)
    assert not torch.allclose(tensors["prompt_embeds"][:, :77, :16], empty[:, :77, :16], atol=1e-2)


def test_break_begins_a_chunk(encode):
    tensors = encode("sd15", "a fox BREAK snow", weighting="a1111")[1]
    fox, snow = (encode("sd15", text, weighting="a1111")[1]["prompt_embeds"] for text in ("a fox", "snow"))
    assert torch.allclose(tensors["prompt_embeds"], torch.cat([fox, snow], 1), atol=1e-5)
    assert encode("sd15", "a fox BREAK snow", weighting="comfy")[1]["prompt_embeds"].shape[1] == 77


@pytest.mark.parametrize(("weighting", "chunks"), [("none", 1), ("a1111", 134), ("comfy", 134)])
def test_b53_a_prompt_of_ten_thousand_words(encode, weighting, chunks):
    said, tensors = encode("sd15", "a " * 10_000, weighting=weighting)
    assert tensors["prompt_embeds"].shape == (1, 77 * chunks, 16)
    assert said[0] == "10000 tokens" + (f" in {chunks} chunks" if chunks > 1 else "")
    assert [line.split(":")[0] for line in said[1:]] == (["W-TOKENS wanted.text"] if weighting == "none" else [])


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("sd15", {"text": "(a:1.2.3)", "weighting": "a1111"}, '"1.2.3" is not a weight'),
        ("sd15", {"text": "(" * 200, "weighting": "a1111"}, "brackets more than 100 deep"),
        ("sd15", {"text": "a", "text_2": "b"}, "this model has one text encoder"),
        ("sdxl", {"text": "a", "text_3": "b"}, "this model has two text encoders"),
        ("sd15", {"text": "a", "max_tokens": 99}, "max_tokens is for T5"),
        ("sdxl", {"text": "a", "clip_skip": 9}, "clip_skip asks for layer 11"),
    ],
)
def test_what_cannot_be_encoded_says_why(checkpoint, run_nodes, kind, inputs, message):
    nodes = graph(checkpoint(kind), wanted={"type": "TextEncode", "text_encoder": "@base.text_encoder", **inputs})
    with pytest.raises(WeftError, match="E-RUN wanted") as found:
        run_nodes(nodes, "wanted")
    assert message in str(found.value)
