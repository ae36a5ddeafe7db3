"""A VAE by itself, in every layout: it draws what diffusers draws with it, and another family's is refused by name."""

import json
import shutil

import diffusers
import numpy as np
import pytest
import single_files
import text_to_image
import torch
from diffusers import AutoencoderKL
from parity import assert_same, pixels
from safetensors.torch import load_file, save_file

from diffusion.family import family_of
from diffusion.store import STORE
from engine.errors import WeftError
from nodes.load_vae import recipe_for, vae_files

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The folder of a VAE of Stable Diffusion that no checkpoint has, 32 channels wide as normalising by 32 needs."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("vaes") / "other"
    AutoencoderKL(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=32,
    ).save_pretrained(folder)
    return folder


def original(folder, path, prefix=""):
    """The VAE of a folder as its authors would name its tensors, in one file."""
    tensors = single_files.vae(load_file(folder / "diffusion_pytorch_model.safetensors"))
    save_file({prefix + name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def drawn(run_nodes, source, vae, **more):
    own = {"type": "LoadVAE", "source": str(vae), **more}
    nodes = text_to_image.graph(source, "a fox", 7.5, 3, 5, own=own, decode__vae="@own")
    return run_nodes(nodes, "decode")["decode"].pixels


def test_p3_another_vae_is_that_of_the_pipeline(checkpoint, other, run_nodes):
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(
        checkpoint("sd15"), vae=AutoencoderKL.from_pretrained(other), safety_checker=None
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    nodes = text_to_image.graph(
        checkpoint("sd15"), "a fox", 7.5, 3, 5, schedule__spacing="leading",
        own={"type": "LoadVAE", "source": str(other)}, decode__vae="@own",
    )  # fmt: skip
    here = run_nodes(nodes, "decode")["decode"].pixels
    assert_same(here, pixels(pipe, num_inference_steps=3, guidance_scale=7.5))
    plain = text_to_image.graph(checkpoint("sd15"), "a fox", 7.5, 3, 5, schedule__spacing="leading")
    assert not np.allclose(here, run_nodes(plain, "decode")["decode"].pixels, atol=1e-2)


@pytest.mark.parametrize("layout", ["diffusers", "original", "inside", "config beside"])
def test_a_file_is_the_vae_of_its_folder(checkpoint, other, run_nodes, tmp_path, layout):
    file = tmp_path / "vae.safetensors"
    more = {"family": "sd"}
    if layout in ("diffusers", "config beside"):
        shutil.copy(other / "diffusion_pytorch_model.safetensors", file)
    else:
        original(other, file, "first_stage_model." if layout == "inside" else "")
    if layout == "config beside":
        shutil.copy(other / "config.json", tmp_path)
        more = {}
    here = drawn(run_nodes, checkpoint("sd15"), file, **more)
    assert np.array_equal(here, drawn(run_nodes, checkpoint("sd15"), other))


def test_diffusers_reads_the_same_of_a_file(other, tmp_path):
    file = original(other, tmp_path / "vae.safetensors")
    recipe = recipe_for("vae.safetensors", tmp_path, "sd")
    there = AutoencoderKL.from_single_file(str(file), config=str(other)).state_dict()
    here = STORE.load(recipe, "cpu").state_dict()
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in there)


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux"])
def test_the_scale_of_a_file_is_that_of_its_family(tmp_path, family):
    channels = 4 if family.startswith("sd") and family != "sd3" else 16
    real = {"sd": "sd15", "sdxl": "sdxl", "sd3": "sd3", "flux": "flux-schnell"}
    torch.manual_seed(2)
    vae = AutoencoderKL(
        block_out_channels=(32,), latent_channels=channels, norm_num_groups=32, use_quant_conv=channels == 4,
        use_post_quant_conv=channels == 4,
    )  # fmt: skip
    save_file(vae.state_dict(), tmp_path / "vae.safetensors")
    recipe = recipe_for("vae.safetensors", tmp_path, family)
    assert (recipe.space, recipe.channels, recipe.factor) == (family, channels, 1)
    import checkpoints
    import checkpoints_dit

    kind = real[family]
    published = checkpoints_dit.SCALES.get(family) or (checkpoints.vae(kind).config.scaling_factor, None)
    config = STORE.load(recipe, "cpu").config
    assert (config.scaling_factor, config.shift_factor) == published
    assert family_of(recipe).decode(STORE.load(recipe, "cpu"), recipe, torch.zeros(1, channels, 4, 4)).pixels.std() > 0


@pytest.mark.parametrize("kind", ["sd15", "sdxl", "sd35", "flux-dev"])
def test_of_a_model_folder_only_its_vae_is_read(checkpoint, tmp_path, kind):
    space = {"sd15": "sd", "sd35": "sd3", "flux-dev": "flux"}.get(kind, kind)
    whole, alone = (recipe_for(str(path), tmp_path) for path in (checkpoint(kind), checkpoint(kind) / "vae"))
    assert whole.space == alone.space == space
    read = vae_files(str(checkpoint(kind)), tmp_path)
    assert {path.parent.name for path in read} == {"vae"}
    assert {path.name for path in read} == {"config.json", "diffusion_pytorch_model.safetensors"}


def refusal(*given):
    with pytest.raises(WeftError) as found:
        recipe_for(*given)
    (problem,) = found.value.problems
    return problem


def test_what_does_not_tell_its_family_is_asked_for_it(other, tmp_path):
    file = original(other, tmp_path / "vae.safetensors")
    problem = refusal("vae.safetensors", tmp_path)
    assert problem.code == "E-MISSING"
    assert problem.what == f"{file} is a VAE with latents of 4 channels, and does not tell whose: sd or sdxl"
    assert problem.hint == "name that family as family"


@pytest.mark.parametrize(
    ("name", "family", "message"),
    [
        ("vae.safetensors", "flux", "has latents of 4 channels, and Flux has 16"),
        ("folder", "sdxl", "codes latents of Stable Diffusion 1.x or 2.x, not of SDXL"),
        ("lora.safetensors", None, "is a LoRA for SDXL; load it with LoRALoad"),
        ("other-class", None, "a AutoencoderTiny, and weft decodes with AutoencoderKL"),
    ],
)
def test_b76_what_is_no_vae_of_that_family_is_refused(checkpoint, other, tmp_path, name, family, message):
    original(other, tmp_path / "vae.safetensors")
    shutil.copytree(other, tmp_path / "folder")
    shutil.copy(checkpoint("lora-sdxl"), tmp_path / "lora.safetensors")
    (tmp_path / "other-class").mkdir()
    (tmp_path / "other-class" / "config.json").write_text(json.dumps({"_class_name": "AutoencoderTiny"}))
    problem = refusal(name, tmp_path, family)
    assert problem.code == "E-ARCH"
    assert message in problem.what


def test_a_vae_of_another_space_is_refused_where_it_is_used(checkpoint, run_nodes):
    with pytest.raises(WeftError) as found:
        drawn(run_nodes, checkpoint("sd15"), checkpoint("sdxl"))
    (problem,) = found.value.problems
    assert "the latent is in the space sd, and this VAE decodes sdxl" in problem.what
