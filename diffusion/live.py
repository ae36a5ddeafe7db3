"""What a latent shows, seen without its VAE: one linear map from channels to colours, for previews while sampling.

    rgb = z F / 2 + 1 / 2,   z (C,) at one place, F (C, 3)

The maps were fitted to each VAE by others, and are published in InvokeAI, `invokeai/app/util/step_callback.py`; they
take latents as a denoiser has them, scaled and shifted. Those of Stable Diffusion are by keturn, erucipe and
torridgristle, that of SDXL by StAlKeR7779. Every pixel stands for 8 x 8 of the picture.
"""

import torch

FACTORS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "sd": (
        (0.3444, 0.1385, 0.0670), (0.1247, 0.4027, 0.1494), (-0.3192, 0.2513, 0.2103), (-0.1307, -0.1874, -0.7445),
    ),
    "sdxl": (
        (0.3816, 0.4930, 0.5320), (-0.3753, 0.1631, 0.1739), (0.1770, 0.3588, -0.2048), (-0.4350, -0.2644, -0.4289),
    ),
    "sd3": (
        (-0.0524, 0.0325, 0.0749), (-0.0581, 0.0076, 0.0573), (0.1614, 0.0127, -0.0377), (0.1442, 0.0846, 0.1594),
        (0.0489, 0.0056, -0.0669), (0.0519, 0.1922, 0.0626), (0.1539, 0.0482, 0.0710), (-0.0860, 0.0901, 0.1089),
        (-0.1240, -0.0677, 0.0034), (-0.0440, 0.0783, 0.0226), (0.0310, 0.0638, 0.0775), (-0.0132, 0.0855, -0.0877),
        (0.0646, 0.0591, 0.1326), (-0.0786, -0.0226, -0.1276), (-0.0992, -0.0801, -0.0626), (-0.0339, -0.0804, -0.0608),
    ),
    "flux": (
        (-0.0412, 0.0149, 0.0521), (0.0056, 0.0291, 0.0768), (0.0342, -0.0681, -0.0427), (-0.0258, 0.0092, 0.0463),
        (0.0863, 0.0784, 0.0547), (-0.0017, 0.0402, 0.0158), (0.0501, 0.1058, 0.1152), (-0.0209, -0.0218, -0.0329),
        (-0.0314, 0.0083, 0.0896), (0.0851, 0.0665, -0.0472), (-0.0534, 0.0238, -0.0024), (0.0452, -0.0026, 0.0048),
        (0.0892, 0.0831, 0.0881), (-0.1117, -0.0304, -0.0789), (0.0027, -0.0479, -0.0043), (-0.1146, -0.0827, -0.0598),
    ),
}  # fmt: skip
"""By space: the red, green and blue that each channel adds, on a scale of -1 … 1."""


def seen(x0: torch.Tensor, space: str) -> torch.Tensor | None:
    """The first picture of x0 (B, C, H, W) as bytes, uint8 (H, W, 3 or 1), on x0's own device.

    Samples of the space pixel are colours themselves. None for a space whose map nobody has fitted.
    """
    z = x0[0].float().movedim(0, -1)
    if space != "pixel":
        factors = FACTORS.get(space)
        if factors is None or len(factors) != z.shape[-1]:
            return None
        z = z @ torch.tensor(factors).to(z.device, non_blocking=True)
    return (z * 127.5 + 127.5).clamp(0, 255).round().to(torch.uint8)


class Glimpse:
    """Gets pictures off the device without waiting for it: what was asked for at one step is there at a later one."""

    def __init__(self) -> None:
        self._copy: torch.Tensor | None = None
        self._done: torch.cuda.Event | None = None

    @property
    def pending(self) -> bool:
        """Whether something was asked for and not yet taken."""
        return self._copy is not None

    def ask(self, picture: torch.Tensor) -> None:
        """Begin to fetch a picture; the device goes on with its work."""
        if picture.device.type != "cuda":
            self._copy, self._done = picture.cpu(), None
            return
        self._copy = torch.empty(picture.shape, dtype=picture.dtype, pin_memory=True)
        self._copy.copy_(picture, non_blocking=True)
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._done.record(torch.cuda.current_stream(picture.device))

    def take(self) -> torch.Tensor | None:
        """The picture on the CPU, once; None where none was asked for or the device has not come to it yet."""
        if self._copy is None or (self._done is not None and not self._done.query()):  # type: ignore[no-untyped-call]
            return None
        found, self._copy, self._done = self._copy, None, None
        return found
