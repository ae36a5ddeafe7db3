"""The state of a training that can be interrupted at any time: one safetensors file, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from diffusion.checkpoint import write_atomically
from diffusion.optimisers import Optimisers


class Progress:
    """Saves and restores weights, averaged weights, what the optimisers remember and the losses so far.

    path: the file, or None to keep nothing. identity: what the training is; a file of another is refused.
    """

    def __init__(
        self,
        path: Path | None,
        model: nn.Module,
        average: nn.Module,
        optimisers: Optimisers,
        identity: dict[str, Any],
    ) -> None:
        self._path, self._model, self._average, self._optimisers = path, model, average, optimisers
        self._identity = json.dumps(identity, sort_keys=True)
        self._saved = -1

    def save(self, losses: list[float]) -> None:
        """Write the state after len(losses) steps, unless it is written already."""
        if self._path is None or len(losses) == self._saved or not losses:
            return
        tensors = {f"model.{k}": v for k, v in self._model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self._average.state_dict().items()}
        tensors |= {f"optimiser.{k}": v for k, v in self._optimisers.state().items()}
        tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
        plain: dict[str, torch.Tensor] = {}
        places: set[int] = set()
        for name, tensor in tensors.items():
            kept = tensor.detach().cpu().contiguous()
            # T5 has one table under two names, and a file takes no memory twice
            plain[name] = kept.clone() if kept.data_ptr() in places else kept
            places.add(kept.data_ptr())
        write_atomically(self._path, save(plain, {"training": self._identity}))
        self._saved = len(losses)

    def restore(self) -> list[float]:
        """Put back the state that is in the file, and give the losses of the steps done; none if there is no file.

        Raises ValueError, naming the file, if it is damaged or belongs to another training.
        """
        if self._path is None or not self._path.is_file():
            return []
        try:
            with safe_open(self._path, "pt") as file:
                if (file.metadata() or {}).get("training") != self._identity:
                    raise ValueError("it belongs to another training: other data, network or settings")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self._model.load_state_dict(_under("model.", tensors))
            self._average.load_state_dict(_under("average.", tensors))
            self._optimisers.restore(_under("optimiser.", tensors))
            losses: list[float] = tensors["losses"].tolist()
        except (SafetensorError, RuntimeError, KeyError, ValueError) as err:
            raise ValueError(f"{self._path}: cannot go on from it: {err}; delete it to start anew") from err
        self._saved = len(losses)
        return losses


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
