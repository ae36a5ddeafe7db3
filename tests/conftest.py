"""What every test gets."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

# the same values in every run: a test that fails fails again
hypothesis.settings.register_profile("weft", derandomize=True)
hypothesis.settings.load_profile("weft")

# before torch is imported: the tests run in as many processes as is good for two cores, and threads would fight
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or fills the user's own cache, or reads their settings."""
    folders = {"WEFT_CACHE": tmp_path_factory.mktemp("cache"), "WEFT_CONFIG": tmp_path_factory.mktemp("config")}
    before = {name: os.environ.get(name) for name in folders}
    os.environ.update({name: str(folder) for name, folder in folders.items()})
    yield folders["WEFT_CACHE"]
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a kind in `checkpoints.make` and its like to a tiny checkpoint, made once."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def made(kind: str) -> Path:
        import adapters
        import checkpoints
        import checkpoints_control
        import checkpoints_dit

        if kind.startswith("control-"):
            there = folder / kind
            return there if there.is_dir() else checkpoints_control.make(there, kind.removeprefix("control-"))
        if kind in adapters.LORAS:
            there = folder / f"{kind}.safetensors"
            return there if there.is_file() else adapters.make(there, kind)
        make = checkpoints_dit.make if kind in checkpoints_dit.KINDS else checkpoints.make
        return folder / kind if (folder / kind).is_dir() else make(folder / kind, kind)

    return made
