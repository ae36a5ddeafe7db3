"""Small models of the true architectures, from nothing: they are made, they learn, and diffusers reads them."""

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline, StableDiffusionXLPipeline
from learning import NEW, SIZES, learn, new_model

from diffusion.recipes import ModelRecipe
from engine.api import load, run
from engine.cache import Cache
from engine.context import Context, Settings
from engine.errors import Cancelled
from engine.events import NodeFinished
from nodes import registry
from nodes.data import Shapes
from nodes.learn_models import NewFlux, TrainTextToImage, TrainVAE
from nodes.save_model import SaveModel


@pytest.fixture(scope="module")
def shapes():
    return Shapes(count=12, size=32, seed=0).run(Context())


@pytest.fixture(scope="module", params=NEW)
def new(request, shapes):
    return new_model(request.param, shapes)


def test_a_new_model_is_the_same_for_the_same_seed_and_another_for_another(new, shapes):
    again, other = (new_model(new.model.family, shapes, seed) for seed in (0, 1))
    assert again.model.digest == new.model.digest != other.model.digest
    assert {one.digest for one in new} == {new.model.digest}


def test_its_tokenizers_know_every_word_of_the_captions_and_spell_the_rest(new, shapes):
    from diffusion.store import STORE

    encoders = STORE.load(new.text_encoder)
    readers = [*encoders.tokenizers, *([encoders.t5.tokenizer] if new.model.family == "flux" else [])]
    for reader in readers:
        for caption in (*shapes.captions, "outline"):
            assert len(reader.tokenize(caption)) == len(caption.split())
        assert len(reader.tokenize("zebra")) > 2
        ids = reader("a zebra, 木", add_special_tokens=False).input_ids
        assert all(0 <= one < len(reader) for one in ids)


def t5_of(recipe):
    from diffusion.store import STORE

    return STORE.load(recipe).t5


def test_a_new_t5_tells_which_word_belongs_to_which(shapes):
    words = "a red circle above blue square"
    made = NewFlux(dataset=shapes, words=words, **{**SIZES, "text_widths": [32, 128]}, width=64).run(Context())
    t5 = t5_of(made.text_encoder)
    one, other = "a red circle above a blue square", "a blue circle above a red square"

    def at_circle(text):
        with torch.no_grad():
            return t5.encode(text, 12)[0, 2]

    assert torch.cosine_similarity(at_circle(one), at_circle(other), dim=0) < 0.97
    bias = t5.encoder.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    kept = bias.detach().clone()
    try:
        bias.data.zero_()
        torch.testing.assert_close(at_circle(one), at_circle(other))  # the same words in any order
    finally:
        bias.data.copy_(kept)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_queries_of_t5_are_moved_less_as_they_stand_for_scaled_ones(shapes, tmp_path, optimizer):
    made = NewFlux(dataset=shapes, **SIZES, width=64, double_blocks=1, single_blocks=1).run(Context())
    given = {"steps": 1, "batch": 2, "warmup": 0, "lr": 0.001, "ema": 0.0, "optimizer": optimizer}
    learned = learn(TrainTextToImage, tmp_path / "run", made, shapes, **given)
    before, after = (t5_of(one).encoder.state_dict() for one in (made.text_encoder, learned.text_encoder))

    def moved(matrix):
        name = f"encoder.block.1.layer.0.SelfAttention.{matrix}.weight"
        return float((after[name] - before[name]).square().mean().sqrt())

    assert moved("q") / moved("k") == pytest.approx(32**-0.5, rel=0.15)


@pytest.mark.parametrize(("node", "given"), [
    (TrainVAE, {"steps": 4, "batch": 2}),
    (TrainTextToImage, {"steps": 4, "batch": 2, "precision": "bfloat16", "accumulate": 2, "min_snr": 5.0}),
    (TrainTextToImage, {"steps": 4, "batch": 2, "train_text": False, "times": "logit_normal"}),
])  # fmt: skip
def test_training_goes_on_where_it_was_stopped(new, shapes, tmp_path, node, given):
    whole = learn(node, tmp_path / "whole", new, shapes, **given)
    with pytest.raises(Cancelled):
        learn(node, tmp_path / "parts", new, shapes, stop_at=2, **given)
    resumed = learn(node, tmp_path / "parts", new, shapes, **given)
    assert resumed.losses == whole.losses
    assert len(resumed.losses.values) == 4
    assert resumed.model.digest == whole.model.digest != new.model.digest


@pytest.mark.parametrize(("node", "given"), [
    (TrainVAE, {"steps": 12, "batch": 12, "lr": 1e-2, "warmup": 2}),
    (TrainTextToImage, {"steps": 16, "batch": 4, "lr": 3e-3, "warmup": 2}),
])  # fmt: skip
def test_the_loss_falls(new, shapes, tmp_path, node, given):
    losses = learn(node, tmp_path / "learn", new, shapes, **given).losses.values
    assert sum(losses[-4:]) < 0.85 * sum(losses[:4])


def test_a_flow_learns_at_the_levels_of_another_shift_and_keeps_its_own(new, shapes, tmp_path):
    given = {"steps": 1, "batch": 4}
    if new.model.family != "flux":
        with pytest.raises(ValueError, match="a shift moves the levels of a flow, and this model learned"):
            learn(TrainTextToImage, tmp_path / "refused", new, shapes, shift=3.0, **given)
        return
    own, same, other = (
        learn(TrainTextToImage, tmp_path / str(shift), new, shapes, shift=shift, **given) for shift in (None, 6.0, 1.0)
    )
    assert own.model.digest == same.model.digest != other.model.digest
    assert {trained.model.schedule.shift for trained in (own, same, other)} == {6.0}


def test_the_latents_of_a_trained_vae_have_mean_0_and_deviation_1(new, shapes, tmp_path):
    from diffusion.family import family_of
    from diffusion.store import STORE
    from diffusion.types import Image

    trained = learn(TrainVAE, tmp_path / "vae", new, shapes, steps=3, batch=4)
    pixels = shapes.images.astype(np.float32) / 255
    latent = family_of(trained.vae).encode(STORE.load(trained.vae), trained.vae, Image(pixels)).samples
    assert float(latent.std()) == pytest.approx(1, abs=1e-3)
    if trained.vae.family == "flux":
        assert float(latent.mean()) == pytest.approx(0, abs=1e-3)


def test_what_was_not_trained_stays_as_it_was(new, shapes, tmp_path):
    trained = learn(TrainTextToImage, tmp_path / "some", new, shapes, steps=1, batch=2, train_text=False)
    before, after = new.model.source, trained.model.source
    for name in ("text_encoder/model.safetensors", "text_encoder_2/model.safetensors", "vae/config.json"):
        with open(f"{before}/{name}", "rb") as one, open(f"{after}/{name}", "rb") as two:
            assert one.read() == two.read()


def test_a_trained_model_is_a_cached_result_and_diffusers_makes_the_same_picture_of_it(tmp_path):
    for family, (node, sizes) in NEW.items():
        wired = {name: f"@new.{name}" for name in ("model", "text_encoder", "vae")}
        learned = {name: f"@learn.{name}" for name in ("model", "text_encoder", "vae")}
        nodes = {
            "shapes": {"type": "Shapes", "count": 6, "size": 32, "seed": 0},
            "new": {"type": node.__name__, "dataset": "@shapes", **SIZES, **sizes},
            "learn": {"type": "TrainTextToImage", "dataset": "@shapes", "steps": 2, "batch": 2, "seed": 0, **wired},
            "text": {"type": "TextEncode", "text_encoder": learned["text_encoder"], "text": "a red circle on white"},
            "none": {"type": "TextEncode", "text_encoder": learned["text_encoder"], "text": ""},
            "guide": {"type": "CFG", "model": learned["model"], "positive": "@text", "negative": "@none", "scale": 3.0},
            "levels": {"type": "NoiseSchedule", "model": learned["model"], "steps": 2},
            "sampler": {"type": "Sampler"},
            "noise": {"type": "Noise", "seed": 7},
            "blank": {"type": "EmptyLatent", "model": learned["model"], "width": 32, "height": 32},
            "draw": {
                "type": "UNetDenoise", "guider": "@guide", "schedule": "@levels", "sampler": "@sampler",
                "noise": "@noise", "latent": "@blank",
            },
            "decode": {"type": "VAEDecode", "vae": learned["vae"], "latent": "@draw"},
            "save": {"type": "SaveModel", "model": learned["model"], "losses": "@learn.losses", "path": family},
        }  # fmt: skip
        cache = Cache(tmp_path / family)
        workflow = load({"format": 1, "nodes": nodes}, registry=registry(), targets=("decode", "save"))
        settings = Settings(out=tmp_path / "out", folder=tmp_path)
        events = []
        ours = run(workflow, settings=settings, cache=cache)
        again = run(workflow, settings=settings, cache=cache, on_event=events.append)
        assert {one.node for one in events if isinstance(one, NodeFinished)} == {"save"}
        assert np.array_equal(again.values["decode"].pixels, ours.values["decode"].pixels)
        folder = next(file.path for file in ours.files if file.path.name == "model_index.json").parent
        kind = {"sdxl": StableDiffusionXLPipeline, "flux": FluxPipeline}[family]
        pipe = kind.from_pretrained(folder, dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        more = (
            {"guidance_scale": 3.0, "negative_prompt": ""}
            if family == "sdxl"
            else {"true_cfg_scale": 3.0, "negative_prompt": "", "max_sequence_length": 24}
        )
        theirs = pipe(
            "a red circle on white", num_inference_steps=2, width=32, height=32, output_type="np",
            generator=torch.Generator().manual_seed(7), **more,
        ).images  # fmt: skip
        assert np.abs(ours.values["decode"].pixels - theirs).max() < 1e-4


def test_weights_are_written_in_the_dtype_that_was_asked_for(new, tmp_path):
    from safetensors import safe_open

    saved = SaveModel(model=new.model, path="half", dtype="float16").run(Context(settings=Settings(out=tmp_path)))
    files = [file.path for file in saved.files if file.path.suffix == ".safetensors"]
    assert len(files) == 4
    for file in files:
        with safe_open(file, "pt") as tensors:
            assert {tensors.get_tensor(name).dtype for name in tensors.keys()} <= {torch.float16, torch.int64}  # noqa: SIM118
            assert (tensors.metadata() or {}).get("format") == "pt"
    assert isinstance(new.model, ModelRecipe)
