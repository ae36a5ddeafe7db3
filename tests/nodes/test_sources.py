"""Where models are found: the hub's cache, revisions and variants, without the network."""

import shutil

import pytest

from diffusion import hub
from engine.cache import Cache
from engine.context import Context, Settings
from engine.errors import WeftError
from nodes.load import LoadCheckpoint
from nodes.sources import model_files, recipes, source_digest

FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def cached(checkpoint, tmp_path, monkeypatch):
    """A hub cache with two commits of one model."""
    model = tmp_path / "home" / "hub" / "models--owner--fox"
    for commit, name in ((FIRST, "main"), (SECOND, "next")):
        shutil.copytree(checkpoint("sd15"), model / "snapshots" / commit)
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / name).write_text(commit)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return model


def refusal(*given, **more):
    with pytest.raises(WeftError) as found:
        model_files(*given, **more)
    (problem,) = found.value.problems
    return problem


@pytest.mark.parametrize(("revision", "commit"), [(None, FIRST), ("next", SECOND), (SECOND, SECOND)])
def test_a_hub_id_at_a_revision(cached, tmp_path, revision, commit):
    model = recipes("owner/fox", tmp_path, revision)[0]
    assert model.source == str(cached / "snapshots" / commit)
    digests = source_digest(model, Cache(tmp_path / "cache"))
    assert digests["commit"] == commit
    assert len(digests["unet/diffusion_pytorch_model.safetensors"]) == 64


def test_a_revision_that_is_not_there(cached, tmp_path):
    problem = refusal("owner/fox", tmp_path, revision="old")
    assert (problem.code, problem.exit_code) == ("E-NOTFOUND", 3)
    assert problem.hint == "get it with weft models pull owner/fox --revision old"
    assert hub.snapshot("owner/fox", "../../../..") is None


def test_doctor_counts_what_the_cache_of_the_hub_has(cached):
    from commands.doctor import examine

    (found,) = (finding for finding in examine() if finding.subject == "hub")
    assert found.text == f"{cached.parent}, 1 model"


def test_a_folder_goes_before_a_hub_id(cached, checkpoint, tmp_path):
    shutil.copytree(checkpoint("sd15"), tmp_path / "owner" / "fox")
    assert recipes("owner/fox", tmp_path)[0].source == str(tmp_path / "owner" / "fox")


@pytest.fixture
def halves(checkpoint, tmp_path):
    """A folder that has only a variant of its weights."""
    folder = shutil.copytree(checkpoint("sd15"), tmp_path / "halves")
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".fp16.safetensors"))
    return folder


def test_the_only_variant_is_taken_and_told(halves, tmp_path):
    events = []
    loaded = LoadCheckpoint(source="halves").run(Context(settings=Settings(folder=tmp_path), emit=events.append))
    assert loaded.model.variant == ""
    (warned,) = events
    assert warned.problem.code == "W-VARIANT"
    assert warned.problem.what == "halves has no plain weights; its variant fp16 was taken"
    assert halves / "unet" / "diffusion_pytorch_model.fp16.safetensors" in model_files("halves", tmp_path)
    assert recipes("halves", tmp_path, variant="fp16")[0].variant == "fp16"


def test_a_variant_that_is_missing_names_those_there(halves, tmp_path):
    problem = refusal("halves", tmp_path, variant="bf16")
    assert problem.what == f"{halves / 'unet'} has no variant 'bf16'; there: fp16"
    plain = halves / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    shutil.copy(plain, halves / "unet" / "diffusion_pytorch_model.bf16.safetensors")
    assert refusal("halves", tmp_path).what.endswith("has no plain weights; name one of the variants: bf16, fp16")


def test_only_a_variant_draws_the_same_picture(halves, checkpoint, run_nodes):
    import numpy as np
    import text_to_image

    def picture(source):
        return run_nodes(text_to_image.graph(source, "a fox", steps=1), "decode")["decode"].pixels

    assert np.array_equal(picture(halves), picture(checkpoint("sd15")))
