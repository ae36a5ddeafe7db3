"""ComfyUI files, each in both formats: what they become, what is listed, and that it runs."""

import json

import pytest
from forty import files

from commands.importing.source import checked, imported
from nodes import registry

FILES = files()


@pytest.fixture
def both(tmp_path):
    """The workflows of the prompt and of the canvas of a file."""

    def made(name):
        file = FILES[name]
        found = []
        for form, value in (("api", file.api()), ("ui", file.ui())):
            path = tmp_path / f"{form}.json"
            path.write_text(json.dumps(value))
            found.append(imported(path))
        return found

    return made


def test_there_are_forty():
    assert len(FILES) >= 40


@pytest.mark.parametrize("name", FILES)
def test_both_forms_become_one_workflow(name, both):
    file = FILES[name]
    prompt, canvas = both(name)
    assert canvas.text == prompt.text
    assert prompt.unmatched == file.unmatched
    assert len(prompt.differs) == len(file.differs)
    for line, part in zip(prompt.differs, file.differs, strict=True):
        assert part in line
    for part in file.said:
        assert part in canvas.said
    wrong = [problem.code for problem in checked(prompt.text, registry())]
    assert set(wrong) <= ({"E-NODE"} if file.unmatched else set())


LORAS = ("sd15-peft.safetensors", "sd15-kohya.safetensors")


@pytest.fixture(scope="session")
def place(tmp_path_factory, checkpoint):
    """A folder with the tests' picture, and a function that puts checkpoints of these names into it."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("imported")
    picture = Image.linear_gradient("L").resize((64, 64)).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((64, 64)).point(lambda p: 255 if p < 128 else 0))
    picture.save(folder / "input.png")

    def put(name):
        if (folder / name).exists():
            return
        if name in LORAS:
            import adapters
            import checkpoints

            layers = adapters.factors(checkpoints.unet("sd15"), adapters.ATTENTION, seed=LORAS.index(name), size=0.2)
            adapters.write(folder / name, "kohya", {"unet": layers}, alpha=1)
        else:
            (folder / name).symlink_to(checkpoint(name))

    return folder, put


def to_run():
    """The files that can be drawn, but for those that become the same workflow as an earlier one."""
    by_prompt = {json.dumps(list(file.api().values())): name for name, file in reversed(FILES.items()) if file.runs}
    return list(by_prompt.values())[::-1]


@pytest.mark.parametrize("name", to_run())
def test_it_runs_on_tiny_checkpoints(name, both, place, tmp_path):
    from PIL import Image

    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings

    folder, put = place
    text = both(name)[0].text
    for node in json.loads(text)["nodes"].values():
        if "source" in node:
            put(node["source"])
    file = folder / f"{name}.json"
    file.write_text(text)
    made = run(load(file, registry=registry()), settings=Settings(out=tmp_path / "out", folder=folder), cache=Cache())
    assert made.files
    for saved in made.files:
        with Image.open(saved.path) as picture:
            assert max(high - low for low, high in picture.convert("RGB").getextrema()) > 0
