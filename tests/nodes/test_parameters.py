"""The text that galleries read: what stands in it, in which words, and that another reader reads it back."""

from pathlib import Path

import pytest

from engine.api import load
from engine.bind import bind
from engine.cache import Cache
from engine.context import Settings
from engine.plan import make_plan
from engine.share.book import Book, Page
from nodes import registry
from nodes.parameters import _value, made
from nodes.sources import SHIPPED

DIGITS = str(SHIPPED / "ddpm-digits")


def graph(**changes):
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": DIGITS},
        "wanted": {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": "3, a fox"},
        "unwanted": {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": "7"},
        "guide": {"type": "CFG", "model": "@base.model", "positive": "@wanted", "negative": "@unwanted", "scale": 2.5},
        "schedule": {"type": "NoiseSchedule", "model": "@base.model", "steps": 20, "spacing": "karras"},
        "sampler": {"type": "Sampler", "kind": "euler_ancestral"},
        "noise": {"type": "Noise", "seed": 2**64 - 2},
        "blank": {"type": "EmptyLatent", "model": "@base.model"},
        "denoise": {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@sampler",
                    "noise": "@noise", "latent": "@blank"},
        "decode": {"type": "VAEDecode", "vae": "@base.vae", "latent": "@denoise"},
        "save": {"type": "SaveImage", "image": "@decode"},
    }  # fmt: skip
    for name, value in changes.items():
        node, _, key = name.partition("__")
        nodes[node] = {**nodes.get(node, {}), key: value} if key else value
    return nodes


def told(nodes, tmp_path):
    """What is written of the picture that the node "save" would save, as if a run had reached it."""
    workflow = load({"format": 1, "nodes": nodes}, registry=registry())
    cache = Cache(tmp_path / "cache")
    book = Book(cache, Settings())
    book.open(make_plan([bind(workflow)], cache, book.settings))
    found = made(Page(book, book.task(0, "save")), "image", 16, 24, "9")
    cache.close()
    return found


def test_the_whole_text(tmp_path):
    found = told(graph(), tmp_path)
    assert found.of(0) == (
        "3, a fox\n"
        "Negative prompt: 7\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 2.5, Seed: 18446744073709551614, Size: 16x24, "
        "Model hash: c3827b02d7, Model: ddpm-digits, RNG: CPU, Version: weft 9"
    )
    assert found.of(1).count("Seed: 18446744073709551615") == 1, "each picture of a batch has a seed of its own"
    assert found.source == "trainedAlgorithmicMedia"


@pytest.mark.parametrize(("changes", "text"), [
    ({"sampler__kind": "model"}, "Sampler: DDIM, "),
    ({"schedule__timesteps": [900.0, 500.0, 100.0]}, "Steps: 3, "),
    ({"schedule__steps": "@count", "count": {"type": "Integer", "value": 12}}, "Steps: 12, "),
    ({"half": {"type": "CutSchedule", "schedule": "@schedule", "start": 0.4}, "denoise__schedule": "@half"},
     "CFG scale: 2.5, Denoising strength: 0.6, Seed"),
    ({"guide__negative": "@zero", "zero": {"type": "ZeroCondition", "conditioning": "@unwanted"}}, "3, a fox\nSteps: "),
    ({"wanted__text": "@joined", "joined": {"type": "JoinText", "texts": ["a", "b"], "separator": "-"}}, "a-b\nNeg"),
    ({"both": {"type": "ConcatCondition", "first": "@wanted", "second": "@unwanted"}, "guide__positive": "@both"},
     "3, a fox\n7\nNegative prompt: 7\n"),
    ({"wanted__text": ""}, "Negative prompt: 7\nSteps: "),
    ({"wanted__text": "x\nNegative prompt: y\0z"}, "x\nNegative prompt： y\ufffdz\nNegative prompt: 7\n"),
])  # fmt: skip
def test_what_is_read_off_the_graph(tmp_path, changes, text):
    nodes = graph(**changes)
    workflow = load({"format": 1, "nodes": nodes}, registry=registry())
    cache = Cache(tmp_path / "cache")
    book = Book(cache, Settings())
    book.open(make_plan([bind(workflow)], cache, book.settings))
    for name in ("count", "joined"):  # what a run would have made by then
        if name in nodes:
            task = book.task(0, name)
            output = task.node.cls(**task.node.literals).run(None)
            book.made(
                task,
                cache.store(task.key, task.node.cls, {next(iter(task.node.cls.outputs)): output}, 0, "{}", keep=True),
            )
    found = made(Page(book, book.task(0, "save")), "image", 16, 24, "9").of(0)
    cache.close()
    assert text in found


def test_a_picture_that_no_sampler_made_has_no_text(tmp_path):
    nodes = {"digits": {"type": "Digits"}, "one": {"type": "DatasetImage", "dataset": "@digits"},
             "save": {"type": "SaveImage", "image": "@one"}}  # fmt: skip
    found = told(nodes, tmp_path)
    assert (found.of(0), found.source) == ("", "")


def test_the_nearest_of_two_samplers_counts(tmp_path):
    more = {"second": {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@other",
                       "noise": "@late", "latent": "@denoise"},
            "other": {"type": "Sampler", "kind": "heun"}, "late": {"type": "Noise", "seed": 5}}  # fmt: skip
    found = told(graph(**more, decode__latent="@second"), tmp_path).of(0)
    assert "Sampler: Heun, " in found
    assert "Seed: 5, " in found


@pytest.mark.parametrize(("value", "written"), [
    ("sdxl", "sdxl"),
    ("a, b", '"a, b"'),
    ("a: b", '"a: b"'),
    ('a"b\nc', "a_b_c"),
    ("x, Seed: 5", '"x, Seed_ 5"'),
])  # fmt: skip
def test_values_are_quoted_where_the_grammar_needs_it(value, written):
    assert _value(value) == written


def test_sd_parsers_reads_hostile_prompts_back_from_all_three_formats(tmp_path, monkeypatch, checkpoint):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent.parent / "benchmarks")
    import sharing

    monkeypatch.setattr(sharing, "values_of", lambda name, folder: {"model": str(checkpoint("sd15"))})
    count = len(sharing.HOSTILE)
    assert sharing.texts_read(count, tmp_path) == {"PNG": count, "WEBP": count, "JPEG": count}
