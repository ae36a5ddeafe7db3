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
from engine.share.subject import open_subject
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


@pytest.fixture
def room_for(monkeypatch):
    """Makes a U-Net that has no memory for more pictures than that, with guidance."""
    import diffusers

    forward = diffusers.UNet2DConditionModel.forward

    def go(pictures):
        def scarce(self, sample, *args, **kwargs):
            if len(sample) > 2 * pictures:
                raise torch.OutOfMemoryError(GPU_SAYS)
            return forward(self, sample, *args, **kwargs)

        monkeypatch.setattr(diffusers.UNet2DConditionModel, "forward", scarce)

    return go


@pytest.fixture
def swept(graph, tmp_path):
    """Draws six variants and gives their files, their locks and the warnings."""
    from engine.sweep import Sweep

    save = {"type": "SaveImage", "image": "@decode", "path": "{variant}.png"}
    workflow = load({"format": 1, "nodes": graph(save=save)}, registry=registry())
    sweep = Sweep({"guide.scale": [2.0, 5.0], "noise.seed": [1, 2, 3]})

    def go(batch):
        result = run(workflow, sweep=sweep, settings=Settings(out=tmp_path / str(batch), batch=batch), cache=Cache())
        return result.files, [one for one in result.warnings if one.code == "W-BATCH"]

    return go


@pytest.mark.parametrize("pictures", [1, 3])
def test_what_does_not_fit_together_is_halved_and_the_pictures_are_those_of_the_smaller_batch(
    swept, room_for, pictures, monkeypatch
):
    smaller, none = swept(pictures)
    assert not none
    monkeypatch.setattr("nodes.sample.UNetDenoise.room", classmethod(lambda cls, nodes, ctxs: len(nodes)))
    room_for(pictures)
    halved, warnings = swept(6)
    assert [one.digest for one in halved] == [one.digest for one in smaller]
    assert "6 variants did not run together: out of memory: 2.0 GiB more were needed" in warnings[0].what
    assert warnings[0].hint == "they run in halves"
    assert len(warnings) == {3: 1, 1: 5}[pictures]
    told = [[open_subject(one.path).lock.nodes["denoise"].get("fallbacks") for one in run] for run in (smaller, halved)]
    assert told == [[None] * 6, [["run in a smaller batch, where its own failed"]] * 6], "the locks say so"


def test_a_batch_is_as_large_as_there_is_memory_for(swept, room_for, monkeypatch):
    from diffusion import denoise

    told = []

    def needed(call):
        told.append(call)
        return 9 << 20

    smaller, _ = swept(2)
    monkeypatch.setattr(denoise, "needed", needed)
    monkeypatch.setattr(denoise, "free", lambda place: 20 << 20)
    room_for(2)
    fitted, warnings = swept(6)
    assert [one.digest for one in fitted] == [one.digest for one in smaller]
    assert (len(told), warnings) == (1, [])


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
