"""Seeing how diffusion works: noise put on a picture, and schedules drawn as curves."""

from typing import Literal

from diffusion.types import ScheduleConfig
from engine.context import Context
from engine.node import Input, Node, Seed
from nodes.sockets import Image

Kind = Literal["linear", "scaled_linear", "cosine", "flow"]


class ForwardProcess(Node):
    """q(x_t | x_0): one picture noised to each given t, x_t = alpha_t x0 + sigma_t eps, all with the same eps.

    x0 is the picture in [-1, 1]; the results are brought back to [0, 1] and clipped (Ho et al. 2020, equation 4).
    """

    version = 1
    image: Image
    kind: Kind = Input("linear", about="the noise table")
    train_steps: int = Input(1000, ge=2, le=10000, about="levels in the table")
    timesteps: list[int] = Input([0, 50, 200, 500, 750, 999], about="which of them, from 0")
    seed: int = Seed(0)

    def run(self, ctx: Context) -> Image:
        import torch

        from diffusion.forward import noised_at
        from diffusion.noise import Streams
        from diffusion.schedule import table
        from diffusion.types import Noise

        x0 = torch.tensor(self.image.pixels[0]).permute(2, 0, 1) * 2 - 1  # (C, H, W)
        eps = Streams(Noise(self.seed), (1, *x0.shape), torch.device("cpu")).initial()[0]
        levels = table(ScheduleConfig(self.kind, self.train_steps))
        noised = noised_at(x0, eps, levels, self.timesteps)  # (n, C, H, W)
        return Image((noised / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).contiguous().numpy())


class PlotSchedule(Node):
    """Noise schedules as curves over t: alpha_bar (how much of the picture is left), the signal to noise ratio
    alpha^2 / sigma^2, and beta, all kinds in the same three plots."""

    version = 1
    kinds: list[Kind] = Input(["linear", "cosine"], about="linear, scaled_linear, cosine, flow")
    train_steps: int = Input(1000, ge=2, le=10000, about="levels in each table")

    def run(self, ctx: Context) -> Image:
        from diffusion.plots import plot_schedules
        from diffusion.schedule import Table, table

        tables: dict[str, Table] = {kind: table(ScheduleConfig(kind, self.train_steps)) for kind in self.kinds}
        return plot_schedules(tables)
