"""Models in the folders that weft.toml names: layouts, names, digests."""

import hashlib
import shutil
from pathlib import Path

import pytest

from engine.cache import Cache, default_root, store
from engine.errors import WeftError
from nodes.files import find_file
from nodes.library import on_this_machine
from nodes.placed import all_placed, roots
from nodes.sources import find_model, recipes

NAMES = {
    "ComfyUI/models/checkpoints": "one.safetensors",
    "ComfyUI/models/checkpoints/sub": "two.safetensors",
    "ComfyUI/models/loras": "one.safetensors",
    "ComfyUI/models/vae": "vae.safetensors",
    "webui/models/Stable-diffusion": "three.safetensors",
    "webui/models/Lora": "style.safetensors",
    "webui/embeddings": "word.safetensors",
    "plain/a/b": "four.safetensors",
    "plain": "old.ckpt",
}


@pytest.fixture
def project(tmp_path: Path, checkpoint) -> Path:
    """A folder whose weft.toml names one of each layout, and one that is not there."""
    for folder, name in NAMES.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_bytes(f"{folder}/{name}".encode())
    shutil.copytree(checkpoint("sd15"), tmp_path / "plain" / "tiny")
    work = tmp_path / "work"
    work.mkdir()
    (work / "weft.toml").write_text('models = ["../ComfyUI", "../webui", "../gone", "../plain"]')
    return work


@pytest.mark.parametrize(
    ("name", "kind", "where"),
    [
        ("one.safetensors", "checkpoint", "ComfyUI/models/checkpoints/one.safetensors"),
        ("one", "checkpoint", "ComfyUI/models/checkpoints/one.safetensors"),
        ("one", "lora", "ComfyUI/models/loras/one.safetensors"),
        ("sub/two.safetensors", "checkpoint", "ComfyUI/models/checkpoints/sub/two.safetensors"),
        ("sub/two", "checkpoint", "ComfyUI/models/checkpoints/sub/two.safetensors"),
        ("two", "checkpoint", "ComfyUI/models/checkpoints/sub/two.safetensors"),
        ("two", "vae", "ComfyUI/models/checkpoints/sub/two.safetensors"),
        ("three", "checkpoint", "webui/models/Stable-diffusion/three.safetensors"),
        ("style", "lora", "webui/models/Lora/style.safetensors"),
        ("word.safetensors", "embedding", "webui/embeddings/word.safetensors"),
        ("a/b/four", "checkpoint", "plain/a/b/four.safetensors"),
        ("four", "checkpoint", "plain/a/b/four.safetensors"),
        ("tiny", "checkpoint", "plain/tiny"),
    ],
)
def test_a_name_is_found_in_each_layout(project: Path, name: str, kind: str, where: str) -> None:
    wanted = (project.parent / where).resolve()
    assert find_model(name, project, kind=kind).resolve() == wanted
    if wanted.is_file():
        assert find_file(name, project, kind).resolve() == wanted


@pytest.mark.parametrize("name", ["../ComfyUI/models/vae/none", "/one", "none", "sub"])
def test_what_is_not_there_is_not_found(project: Path, name: str) -> None:
    with pytest.raises(WeftError) as found:
        find_model(name, project)
    assert found.value.problems[0].code == "E-NOTFOUND"


def test_a_path_beside_the_workflow_goes_first_and_a_folder_may_look_like_a_hub_id(project: Path) -> None:
    (project / "one.safetensors").write_bytes(b"mine")
    assert find_model("one.safetensors", project) == project / "one.safetensors"
    shutil.copytree(project.parent / "plain" / "tiny", project.parent / "plain" / "owner" / "fox")
    assert find_model("owner/fox", project).name == "fox"
    assert recipes("owner/fox", project)[0].family == "sd"


def test_two_of_a_name_in_one_place_are_a_question(project: Path) -> None:
    other = project.parent / "ComfyUI/models/checkpoints/other"
    other.mkdir()
    (other / "two.safetensors").write_bytes(b"another")
    with pytest.raises(WeftError, match='2 models are called "two"'):
        find_model("two", project)
    assert find_model("other/two", project).read_bytes() == b"another"


def test_a_pickle_is_named_and_not_loaded(project: Path) -> None:
    with pytest.raises(WeftError, match="is a pickle"):
        find_model("old.ckpt", project)


def test_a_file_is_found_by_the_beginning_of_its_sha256_once_that_is_known(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_FRESH", 0)
    path = project.parent / "ComfyUI/models/loras/one.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeftError, match="weft models find"):
        find_file(f"sha256:{digest[:10]}", project)
    cache = Cache(default_root())
    cache.sha256(path)
    cache.close()
    for source in (f"sha256:{digest[:10]}", f"sha256:{digest.upper()}"):
        assert find_file(source, project) == path
    path.write_bytes(b"other")
    with pytest.raises(WeftError, match="weft models find"):
        find_file(f"sha256:{digest}", project)


def test_weights_of_a_pipeline_stand_for_its_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_FRESH", 0)
    folder = project.parent / "plain" / "tiny"
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    cache = Cache(default_root())
    digest = cache.sha256(weights)
    cache.close()
    found = find_model(f"sha256:{digest}", project)
    assert (found / "model_index.json").is_file()
    assert found.samefile(folder) or (found / "unet" / weights.name).read_bytes() == weights.read_bytes()


def test_all_of_them_are_listed(project: Path) -> None:
    listed = {(one.kind, one.name) for one in all_placed(project)}
    assert {
        ("checkpoint", "sub/two.safetensors"),
        ("lora", "one.safetensors"),
        ("", "tiny"),
        ("", "a/b/four.safetensors"),
    } <= listed
    assert [kind for kind, _ in roots(project.parent / "webui")] == ["checkpoint", "lora", "embedding"]
    found = {one.source: one for one in on_this_machine(project) if one.where == "placed"}
    assert found["tiny"].what == "a checkpoint, Stable Diffusion 1.x or 2.x"
    assert found["old.ckpt"].wrong == "a pickle, which could run code"


def test_links_in_circles_end(project: Path) -> None:
    (project.parent / "plain" / "a" / "round").symlink_to(project.parent / "plain")
    assert find_model("a/b/four", project).is_file()
    assert len(list(all_placed(project))) < 200
