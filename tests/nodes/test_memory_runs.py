"""Running out of memory, and the options of a run that say how much models may take and how attention is computed."""

import pytest
import text_to_image
import torch

from diffusion.attention import attention
from diffusion.store import STORE
from engine.api import load, numerics, run
from engine.cache import Cache
from engine.context import Settings
from engine.errors import WeftError
from engine.events import Warned
from nodes import registry
from nodes.device import check_choices
from nodes.vae import VAEDecode

GPU_SAYS = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB"
CPU_SAYS = (
    "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 3072 bytes."
)


@pytest.fixture(scope="module")
def graph(checkpoint):
    return lambda **changes: text_to_image.graph(checkpoint("sd15"), "a fox", 7.5, 3, 5, **changes)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """What `Scarce` counts are the calls of one thread."""
    monkeypatch.setattr(VAEDecode, "runs_aside", classmethod(lambda cls, settings: False))


class Scarce(torch.overrides.TorchFunctionMode):
    """An allocator that fails at the k-th call of a function of torch from now on."""

    def __init__(self, k, error):
        super().__init__()
        self.left, self.error = k, error

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return func(*args, **(kwargs or {}))


def go(nodes, *, fails_at=0, error=None, settings=None, cache=None, target="decode"):
    workflow = load({"format": 1, "nodes": nodes}, registry=registry(), targets=[target])
    with Scarce(fails_at, error) as scarce:
        found = run(workflow, settings=settings or Settings(), cache=cache or Cache()).values[target]
    go.calls = -scarce.left
    return found


ERRORS = {
    "of the GPU": (torch.OutOfMemoryError(GPU_SAYS), "2.0 GiB more were needed"),
    "of the CPU": (RuntimeError(CPU_SAYS), "3.0 KiB more were needed"),
    "of Python": (MemoryError(), "models take"),
}


@pytest.mark.parametrize(("part", "node"), [(0.5, "denoise"), (0.7, "denoise"), (0.99, "decode")])
@pytest.mark.parametrize("which", ERRORS)
def test_out_of_memory_at_call_k_lets_models_go_and_names_the_levers(graph, which, part, node):
    error, told = ERRORS[which]
    STORE.clear()
    nodes = graph(blank__width=64, blank__height=64)
    go(nodes)
    go(nodes)  # without the calls that load models
    assert STORE.bytes > 0
    k = round(go.calls * part)
    with pytest.raises(WeftError) as found:
        go(nodes, fails_at=k, error=error)
    (problem,) = found.value.problems
    assert (problem.code, found.value.exit_code) == ("E-MEMORY", 1)
    assert problem.place.node == node
    assert told in problem.what
    assert "models take" in problem.what
    assert "--dtype bfloat16, which changes the result" in problem.hint
    assert len(STORE) == 0, "nothing stays loaded"
    if node == "decode":
        assert "make one of these smaller: blank.width=64, blank.height=64" in problem.hint
        assert "set decode.tile to work in tiles" in problem.hint
    assert torch.equal(torch.tensor(go(nodes).pixels), torch.tensor(go(nodes).pixels)), "the next run works"


def test_what_fits_in_no_batch_runs_one_by_one_and_that_is_told(graph, tmp_path):
    from engine.sweep import Sweep

    save = {"type": "SaveImage", "image": "@decode", "path": "{variant}.png"}
    workflow = load({"format": 1, "nodes": graph(save=save)}, registry=registry())
    said = []
    scarce = Scarce(10**9, torch.OutOfMemoryError(GPU_SAYS))

    def listen(event):
        said.append(event)
        if event.to_json()["event"] == "node_started" and event.node == "denoise" and event.variant == 0:
            scarce.left = 200

    with scarce:
        result = run(
            workflow,
            sweep=Sweep({"guide.scale": [2.0, 5.0]}),
            settings=Settings(out=tmp_path),
            cache=Cache(),
            on_event=listen,
        )
    (warning,) = [event.problem for event in said if isinstance(event, Warned)]
    assert warning.code == "W-BATCH"
    assert "out of memory: 2.0 GiB more were needed" in warning.what
    assert len(result.files) == 2


def test_other_errors_are_not_taken_for_it(graph):
    with pytest.raises(WeftError) as found:
        go(graph(), fails_at=150, error=RuntimeError("shapes cannot be multiplied"))
    assert found.value.problems[0].code == "E-RUN"


@pytest.mark.parametrize("settings", [{"vram": 1}, {"offload": "model"}, {"offload": "group"}], ids=str)
def test_what_saves_memory_changes_no_bit_and_no_key(graph, settings):
    plain, cache = go(graph()), Cache(memory=1 << 30)
    there = go(graph(), settings=Settings(**settings), cache=cache)
    assert (there.pixels == plain.pixels).all()
    reads = STORE.loads
    go(graph(), cache=cache)
    assert STORE.loads == reads, "the result was found again"
    STORE.clear()


@pytest.mark.parametrize("kernel", ["math", "flash"])
def test_a_kernel_of_attention_gives_the_same_up_to_rounding_and_has_a_key_of_its_own(graph, kernel):
    plain = go(graph())
    there = go(graph(), settings=Settings(attention=kernel, numerics=numerics("cpu", "float32", kernel)))
    assert abs(there.pixels - plain.pixels).max() < 1e-4
    assert numerics("cpu", "float32", kernel) == f"{numerics('cpu', 'float32')} {kernel} attention"
    assert numerics("cpu", "float32", "auto") == numerics("cpu", "float32")


def test_a_kernel_is_really_the_one_that_computes():
    from torch.nn.attention import SDPBackend, _cur_sdpa_kernel_backends

    with attention("math"):
        assert _cur_sdpa_kernel_backends() == [SDPBackend.MATH]
    with attention("auto"):
        assert len(_cur_sdpa_kernel_backends()) > 1


def test_a_kernel_that_cannot_do_it_says_so():
    q = torch.zeros(1, 1, 4, 8)
    why = r"attention cudnn cannot compute what this model needs, .*: take --attention auto"
    with pytest.raises(ValueError, match=why), attention("cudnn"):
        torch.nn.functional.scaled_dot_product_attention(q, q, q)
    with pytest.raises(ValueError, match='unknown attention "fast"; known: auto, math'), attention("fast"):
        pass


@pytest.mark.parametrize(
    ("device", "offload", "kernel", "message"),
    [
        ("cpu", "modle", "auto", '--offload "modle" is not a way to offload; did you mean "model"?'),
        ("cpu", "none", "falsh", '--attention "falsh" is not a kernel of attention; did you mean "flash"?'),
        ("cpu", "none", "cudnn", "--attention cudnn needs a GPU of NVIDIA, and this run is on cpu"),
    ],
)
def test_choices_that_are_none(device, offload, kernel, message):
    with pytest.raises(WeftError) as found:
        check_choices(device, offload, kernel)
    assert message in str(found.value)


def test_choices_that_are():
    check_choices("cuda:0", "group", "cudnn")
    check_choices("cpu", "model", "flash")
