"""benchmarks/gpu.py: its configurations are the real ones, and its code runs, with tiny models on the CPU."""

from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parent / "nodes")
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    import gpu

    return gpu


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("sdxl", 2_567_463_684), ("flux-schnell", 11_891_178_560), ("flux-dev", 11_901_408_320)],
)
def test_the_configurations_have_as_many_parameters_as_the_real_models(
    gpu: ModuleType, name: str, parameters: int
) -> None:
    import gpu_models

    with torch.device("meta"):
        net, vae = gpu_models.networks(name)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert round(sum(p.numel() for p in vae.parameters()) / 1e6) == 84


# one of diffusers' schedulers warns of numpy's older ways
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_benchmark_runs_with_tiny_models(gpu: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    from diffusion.store import STORE

    read = STORE.loads
    assert gpu.main(["--tiny", "--rounds", "1", "--kernels"]) == 0
    assert STORE.loads == read, "ours ran other modules than those that were put into the store"
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    named = {row[0]: row[1:] for row in rows}
    shares = [float(row[6].rstrip("%")) for row in rows if row[0].startswith("eager: ")]
    assert shares[:12] == sorted(shares[:12], reverse=True)
    assert sum(shares[:14]) == pytest.approx(100, abs=1)
    for what in ("sdxl, 3 steps", "flux-schnell, 2 steps", "flux-dev, 3 steps"):
        assert all(float(number.split()[0]) > 0 for number in named[what][:5])
    assert named["sdxl, 3 steps, attention cudnn"][0].startswith("cannot")
    assert float(named["2 pictures in a row, text to PNG (0.00 of 255 apart)"][4]) > 0
    assert float(named["4 seeds in batches of 2, text to PNG, beside so many such calls"][4]) > 0


def test_without_a_gpu_it_says_so(
    gpu: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 0
    assert capsys.readouterr().out.startswith("no GPU here")
