"""What moves the weights: Muon for matrices, AdamW for the rest, and both go on from where they were."""

from pathlib import Path

import pytest
import torch
from torch import nn

from diffusion.loop import LoopConfig, loop
from diffusion.optimisers import Optimisers


class Reader(nn.Module):
    """A table, a layer, a norm and a head that no loss reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer, self.norm = nn.Embedding(5, 8), nn.Linear(8, 16), nn.LayerNorm(16)
        self.unreached = nn.Linear(16, 2)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.norm(self.layer(self.table(words)))
        return found


def reader() -> Reader:
    torch.manual_seed(0)
    return Reader()


def loss_of(model: Reader):
    return lambda step: (model(torch.randint(5, (4,))) - 1).square().mean()


def test_muon_turns_a_matrix_as_far_in_every_direction_and_leaves_the_rest_to_adamw() -> None:
    model = reader()
    moved = Optimisers("muon", model, [(list(model.parameters()), 1.0)], lr=0.01, weight_decay=0.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    loss_of(model)(0).backward()
    moved.step()
    change = {name: p.detach() - before[name] for name, p in model.named_parameters()}
    # U V^T has singular values of 1, which Newton and Schulz come near; 0.2 sqrt(16) is 0.8
    sizes = torch.linalg.svdvals(change["layer.weight"]) / (0.01 * 0.8)
    assert (sizes > 0.6).sum() >= 3
    assert sizes.max() < 1.3
    # the first step of AdamW is as long as the learning rate, wherever there is a gradient
    assert change["layer.bias"].abs().max() == pytest.approx(0.01, rel=1e-3)
    assert change["table.weight"].abs().max() == pytest.approx(0.01, rel=1e-3)
    assert not change["unreached.weight"].any()


@pytest.mark.parametrize("factor", [0.0, 0.5])
def test_a_part_may_move_more_slowly(factor: float) -> None:
    model = reader()
    parts = [(list(model.layer.parameters()), factor), (list(model.table.parameters()), 1.0)]
    before = model.layer.weight.detach().clone()
    loop(model, model, LoopConfig(1, lr=0.1, warmup=0, optimizer="muon"), loss_of(model), {}, groups=parts)
    assert bool((model.layer.weight != before).any()) == bool(factor)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_training_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path, optimizer) -> None:
    config = LoopConfig(6, lr=0.01, warmup=2, optimizer=optimizer)
    whole, parts = reader(), reader()
    losses = loop(whole, whole, config, loss_of(whole), {})

    def stop(step: int, total: int, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    file = tmp_path / "progress.safetensors"
    with pytest.raises(KeyboardInterrupt):
        loop(parts, parts, config, loss_of(parts), {}, file, report=stop)
    again = reader()
    assert loop(again, again, config, loss_of(again), {}, file) == losses
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_attention_of_cudnn_is_not_learned_with() -> None:
    model, seen = reader(), []
    usual = loss_of(model)

    def loss(step: int) -> torch.Tensor:
        seen.append(torch.backends.cuda.cudnn_sdp_enabled())
        return usual(step)

    before = torch.backends.cuda.cudnn_sdp_enabled()
    loop(model, model, LoopConfig(2, lr=0.1), loss, {})
    assert seen == [False, False]
    assert torch.backends.cuda.cudnn_sdp_enabled() == before


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(ValueError, match='unknown optimizer "sgd"; known: adamw, muon'):
        LoopConfig(1, lr=1.0, optimizer="sgd")  # type: ignore[arg-type]
