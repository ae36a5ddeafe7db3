"""Networks that are compiled, or replayed from a recording, give what they give as they are."""

import gc
import weakref

import pytest
import torch
from torch import nn

from diffusion import fast, folder
from diffusion.attention import attention
from diffusion.store import STORE


@pytest.fixture
def network(checkpoint):
    """A network of a kind, and inputs of a number of rows for it."""

    def go(kind):
        module = STORE.load(folder.recipes(checkpoint(kind))[0], "cpu")
        config = module.config

        def inputs(rows=2, seed=0):
            random = torch.Generator().manual_seed(seed)
            if kind.startswith("flux"):
                return {
                    "hidden_states": torch.randn(rows, 16, config.in_channels, generator=random),
                    "timestep": torch.full((rows,), 0.5), "encoder_hidden_states":
                    torch.randn(rows, 8, config.joint_attention_dim, generator=random),
                    "pooled_projections": torch.randn(rows, config.pooled_projection_dim, generator=random),
                    "img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(8, 3),
                }  # fmt: skip
            return {
                "sample": torch.randn(rows, 4, 8, 8, generator=random),
                "timestep": torch.tensor(5.0),
                "encoder_hidden_states": torch.randn(rows, 77, config.cross_attention_dim, generator=random),
            }

        return module, inputs

    return go


def out(module, inputs):
    with torch.no_grad():
        return module(**inputs, return_dict=False)[0]


def compiled_parts(module):
    return [part for part in module.modules() if part._compiled_call_impl is not None]


def test_compiled_it_gives_the_same_and_the_plain_one_stays_plain(network, monkeypatch):
    monkeypatch.setattr(fast, "BACKEND", "aot_eager")
    module, inputs = network("flux-schnell")
    plain = out(module, inputs())
    quick = fast.faster(module, "compile")
    torch.testing.assert_close(out(quick, inputs()), plain, rtol=1e-4, atol=1e-5)
    assert fast.faster(module, "compile") is quick, "prepared once"
    assert {p.data_ptr() for p in quick.parameters()} == {p.data_ptr() for p in module.parameters()}
    blocks = [*quick.transformer_blocks, *quick.single_transformer_blocks]
    assert compiled_parts(quick) == blocks
    assert compiled_parts(module) == []


class Attending(nn.Module):
    """Attention and nothing else."""

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


def flash(module):
    """Whether attention is computed by torch's fused kernel."""
    with torch.no_grad(), torch.profiler.profile() as seen:
        module(torch.ones(1, 2, 8, 16))
    return any("flash_attention" in event.key for event in seen.key_averages())


@pytest.mark.filterwarnings("ignore::UserWarning")  # the profiler's, of a machine without a GPU
def test_another_kernel_of_attention_is_compiled_anew(monkeypatch):
    monkeypatch.setattr(fast, "BACKEND", "aot_eager")
    module = Attending()
    quick = fast.faster(module, "compile")
    assert flash(quick)
    with attention("math"):
        plain = fast.faster(module, "compile")
        assert plain is not quick
        assert not flash(plain)
    assert flash(fast.faster(module, "compile"))


@pytest.mark.parametrize("kind", ["sd15", "sd3"])
def test_where_blocks_are_not_all_alike_the_network_is_compiled_whole(network, kind):
    module, _ = network(kind)
    quick = fast.faster(module, "compile")
    assert compiled_parts(quick) == [quick]
    assert compiled_parts(module) == []


@pytest.mark.parametrize("kind", ["sd15", "flux-schnell"])
def test_a_recording_reads_and_writes_its_own_memory_and_gives_the_same_bits(network, kind):
    module, inputs = network(kind)
    recorded = []

    def capture(call):
        recorded.append(call)
        call()
        return call  # a CUDA graph repeats the call on the same memory; so does the call

    quick = fast.Graphed(module, capture)
    first = out(quick, inputs(seed=1))
    kept = first.clone()
    assert torch.equal(out(quick, inputs(seed=2)), out(module, inputs(seed=2)))
    assert torch.equal(first, kept), "a later call does not write over what an earlier one gave"
    assert torch.equal(first, out(module, inputs(seed=1)))
    assert len(recorded) == 1
    assert torch.equal(out(quick, inputs(rows=1)), out(module, inputs(rows=1)))
    assert len(recorded) == 2, "another shape, another recording"
    assert quick.config is module.config


def test_what_is_compiled_can_be_recorded(network, monkeypatch):
    monkeypatch.setattr(fast, "BACKEND", "aot_eager")
    module, inputs = network("flux-schnell")
    recorded = []

    def capture(call):
        recorded.append(call)
        call()
        return call

    quick = fast.faster(module, "compile")
    both = fast.Graphed(quick, capture)
    torch.testing.assert_close(out(both, inputs(seed=3)), out(module, inputs(seed=3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out(both, inputs(seed=4)), out(quick, inputs(seed=4)), rtol=0, atol=0)
    assert len(recorded) == 1


def test_a_recording_is_made_anew_where_the_weights_have_moved():
    module, recorded = nn.Linear(3, 3), []

    def capture(call):
        recorded.append(call)
        call()
        return call

    quick, x = fast.Graphed(module, capture), torch.ones(1, 3)
    with torch.no_grad():
        quick(x)
        quick(x)
        module.weight.data = module.weight.data.clone()
        assert torch.equal(quick(x), module(x))
    assert len(recorded) == 2


def test_what_is_prepared_goes_with_the_module(monkeypatch):
    monkeypatch.setattr(fast, "BACKEND", "aot_eager")
    module = nn.Linear(3, 3)
    made = weakref.ref(fast.faster(module, "compile"))
    del module
    gc.collect()
    assert made() is None


def test_what_cannot_be_is_refused_in_words(network):
    module, _ = network("sd15")
    assert fast.faster(module, "none") is module
    for speed in ("graphs", "compile-graphs"):
        with pytest.raises(ValueError, match="CUDA graphs need a GPU of NVIDIA: take --speed compile or none"):
            fast.faster(module, speed)
    with pytest.raises(ValueError, match='unknown speed "fast"; known: none, compile, graphs, compile-graphs'):
        fast.faster(module, "fast")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("speed", "as_they_are"), [("graphs", "none"), ("compile-graphs", "compile")])
def test_cuda_graphs_give_the_same_bits(network, speed, as_they_are):
    module, inputs = network("sd15")
    module.to("cuda")
    there = {name: value.to("cuda") for name, value in inputs().items()}
    quick, plain = (fast.faster(module, how) for how in (speed, as_they_are))
    for _ in range(3):
        assert torch.equal(out(quick, there), out(plain, there))
    module.to("cpu")


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", ""])
def test_a_kernel_of_another_package_is_refused_where_it_would_do_nothing(family):
    told = f"attention sage reaches flux only, not {family or 'this model'}"
    with pytest.raises(ValueError, match=told), attention("sage", family):
        pass


@pytest.mark.parametrize("name", ["flash-attn", "flash-attn-3", "sage", "xformers"])
def test_a_package_that_is_not_there_is_named(name):
    with (
        pytest.raises(ValueError, match=f"attention {name} is not here: .*([Ii]nstall|build)"),
        attention(name, "flux"),
    ):
        pass


def test_a_kernel_by_way_of_diffusers_is_used_inside_only():
    from diffusers.models import attention_dispatch

    registry = attention_dispatch._AttentionBackendRegistry
    before = registry._active_backend
    with attention("flex", "flux"):
        assert registry._active_backend.value == "flex"
    assert registry._active_backend == before
