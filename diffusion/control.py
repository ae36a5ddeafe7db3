"""ControlNets: networks beside a denoiser that see a picture and add to what it computes (Zhang et al. 2023).

A ControlNet is a trained copy of the first part of a denoiser. It is told all that the denoiser is told, and a picture
c, and gives a residual r_k for each state h_k that the denoiser keeps. Of several nets j the residuals are added up:

    h_k' = h_k + sum_j s_j a_j(i) r_jk(x, t, text, c_j)

s_j is the strength. a_j(i) = 0 where step i of n lies outside start … end, that is i / n < start or (i + 1) / n > end;
else 1. The steps are those of the whole schedule, also where it was cut; a level between two of them, at which some
solvers look, belongs to the step that it lies in. A net that does not act is not run.

Inputs, for net j (see `diffusion.guidance.Inputs`):

    control_j            (B, 3, H, W) in 0 … 1, pixels; or (B, C, h, w), a latent of the picture
    control_j_strength   (B,)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from torch import nn

from diffusion import latent as coding
from diffusion.control_flow import into_flux, into_sd3, of_flux, of_sd3
from diffusion.guidance import Inputs, Load, outside
from diffusion.pixel import in_channels
from diffusion.recipes import Control, ModelRecipe
from diffusion.steer import Fed, Steer, unsteered
from diffusion.types import Image, Level, Schedule

Residuals = list[Any]
"""Tensors, first axis B, in the order of the states of the denoiser; None where a net has none for a state."""


class Steering:
    """The ControlNets of a model, as a callable that a family's network asks (a `diffusion.steer.Steer`).

    denoiser: the module that is steered. Raises ValueError for a net that was made for embeddings of another width.
    """

    def __init__(self, model: ModelRecipe, denoiser: nn.Module, schedule: Schedule, load: Load) -> None:
        self._controls, self._denoiser = model.controls, denoiser
        self._run, self._into = KINDS[model.family]
        self._nets = [load(control.net) for control in model.controls]
        self._silent = [outside(schedule, control.start, control.end) for control in model.controls]
        for control, net in zip(self._controls, self._nets, strict=True):
            check_width(control, net, denoiser)

    def __call__(self, level: Level, inputs: Inputs, fed: Fed) -> dict[str, Any]:
        """The residuals under the names of the denoiser's arguments; nothing where no net acts."""
        total: Residuals = []
        for j, (control, net) in enumerate(zip(self._controls, self._nets, strict=True)):
            if level in self._silent[j]:
                continue
            strength = inputs[f"{_name(j)}_strength"]
            found = self._run(net, self._denoiser, control, inputs[_name(j)], fed)
            scaled = [r if r is None else _scaled(r, strength) for r in found]
            total = [_sum(a, b) for a, b in zip(total, scaled, strict=True)] if total else scaled
        return self._into(self._denoiser, total) if total else {}


def steering(model: ModelRecipe, denoiser: nn.Module, schedule: Schedule, load: Load) -> Steer:
    """What steers a model; see `Steering`."""
    return Steering(model, denoiser, schedule, load) if model.controls else unsteered


def hints(model: ModelRecipe, height: int, width: int, batch: int, load: Load) -> dict[str, torch.Tensor]:
    """What a model's ControlNets see of their pictures, on the CPU, for B latents of height x width.

    Pictures of another size are resized. N pictures serve a batch of B = N n, picture after picture. ValueError if B is
    no multiple of N.
    """
    found: dict[str, torch.Tensor] = {}
    for j, control in enumerate(model.controls):
        hint = _hint(control, height * model.factor, width * model.factor, load)
        if batch % len(hint):
            what = f"{len(hint)} control pictures need a batch that is a multiple of {len(hint)}, not {batch}"
            raise ValueError(what)
        found[_name(j)] = hint.repeat_interleave(batch // len(hint), 0)
    return found


def strengths(model: ModelRecipe, batch: int, load: Load, negative: bool = False) -> dict[str, torch.Tensor]:
    """The strengths of a model's ControlNets, (B,) each. negative: of what guidance pushes away from, on which a net
    that guesses does not act."""
    found: dict[str, torch.Tensor] = {}
    for j, control in enumerate(model.controls):
        silent = negative and _guesses(control, load(control.net))
        found[f"{_name(j)}_strength"] = torch.full((batch,), 0.0 if silent else float(control.strength))
    return found


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pictures (N, H, W, 3) at another size, by Lanczos on 8 bits as diffusers does it; as they are if they fit."""
    if pixels.shape[1:3] == (height, width):
        return pixels
    eight = (pixels * 255).round().astype(np.uint8)
    done = [Pillow.fromarray(one).resize((width, height), Pillow.Resampling.LANCZOS) for one in eight]
    return np.stack([np.asarray(one, np.float32) for one in done]) / 255


def check_width(control: Control, net: Any, denoiser: Any) -> None:
    """ValueError for a net that was made for text embeddings of another width than the denoiser's."""
    names = ("cross_attention_dim", "joint_attention_dim")
    here, there = (next((c[n] for n in names if c.get(n)), None) for c in (dict(net.config), dict(denoiser.config)))
    if here is not None and here != there:
        raise ValueError(
            f"the ControlNet {control.net.source} is for models with text embeddings {here} wide{_known(here)}, and "
            f"this model has {there}{_known(there)}: take a ControlNet that was made for this model"
        )


WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}
"""The width of the text embeddings of each."""


def _known(width: int | None) -> str:
    return f" ({WIDTHS[width]})" if width in WIDTHS else ""


def _name(j: int) -> str:
    return f"control_{j}"


def _scaled(r: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    return r * strength.to(r.dtype).view(-1, *[1] * (r.ndim - 1))


def _sum(a: torch.Tensor | None, b: torch.Tensor | None) -> torch.Tensor | None:
    return b if a is None else a if b is None else a + b


def _guesses(control: Control, net: Any) -> bool:
    """Whether a net acts on the positive alone: where that is asked for, and for nets that average over the picture."""
    return control.guess or bool(net.config.get("global_pool_conditions", False))


@torch.no_grad()
def _hint(control: Control, height: int, width: int, load: Load) -> torch.Tensor:
    """What the net sees of the pictures, (N, ...) float32 on the CPU."""
    pixels = resized(in_channels(control.picture.image.pixels, 3), height, width)
    if control.net.hint == "pixels":
        return torch.tensor(pixels).permute(0, 3, 1, 2).contiguous()
    if control.vae is None:
        raise ValueError("this ControlNet sees the picture as a latent: link vae")
    vae: Any = load(control.vae)
    z = coding.encode(vae, control.vae, Image(pixels)).samples.cpu()
    # nets for SD3 that are not told the pooled text were trained on latents without the shift
    if control.net.hint == "unshifted latent":
        z = z + vae.config.shift_factor * vae.config.scaling_factor
    return z


def _of_unet(net: Any, denoiser: nn.Module, control: Control, hint: torch.Tensor, fed: Fed) -> Residuals:
    """Of ControlNetModel and ControlNetUnionModel: one for each skip connection, and one for the middle."""
    kind = next(net.parameters()).dtype
    # x alone: an inpainting U-Net is fed a mask and a masked latent behind it
    x, hint = fed["sample"][:, : net.config.in_channels].to(kind), hint.to(kind)
    how: dict[str, Any] = {"controlnet_cond": hint}
    if control.net.modes:
        mode = control.mode or 0
        chosen = (torch.arange(control.net.modes, device=x.device) == mode).to(x.dtype)
        how = {
            "controlnet_cond": [hint],
            "control_type": chosen.repeat(x.shape[0], 1),
            "control_type_idx": [mode],
        }
    down, middle = net(
        x,
        fed["timestep"],
        fed["encoder_hidden_states"].to(kind),
        added_cond_kwargs=fed["added_cond_kwargs"],
        guess_mode=_guesses(control, net),
        return_dict=False,
        **how,
    )
    return [r.to(fed["sample"].dtype) for r in (*down, middle)]


def _into_unet(denoiser: nn.Module, residuals: Residuals) -> dict[str, Any]:
    return {"down_block_additional_residuals": residuals[:-1], "mid_block_additional_residual": residuals[-1]}


Run = Callable[[Any, Any, Control, torch.Tensor, Fed], Residuals]
Into = Callable[[Any, Residuals], dict[str, Any]]
KINDS: dict[str, tuple[Run, Into]] = {
    "sd": (_of_unet, _into_unet),
    "sdxl": (_of_unet, _into_unet),
    "sd3": (of_sd3, into_sd3),
    "flux": (of_flux, into_flux),
}
"""How the nets of a family are run, and how the denoiser takes the residuals."""
