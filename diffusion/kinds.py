"""Which samplers there are, and what each takes: levels of which table, in which spacing. It imports no tensor library.

`diffusion.samplers` walks them. Sources are named at each; the ones that diffusers steps are in `diffusion.borrowed`.
"""

from dataclasses import dataclass
from typing import TypedDict

from diffusion.types import Sampler, Schedule

VARIANCE_PRESERVING = ("linear", "scaled_linear", "cosine")
TABLES = (*VARIANCE_PRESERVING, "flow")
BY_TIME = ("leading", "trailing", "linspace", "timesteps")
COMFY = tuple(
    f"comfy_{name}"
    for name in (
        "normal", "simple", "sgm_uniform", "ddim_uniform", "beta", "karras", "exponential", "kl_optimal",
        "linear_quadratic",
    )
)  # fmt: skip
"""ComfyUI's schedulers (`diffusion.comfy_spacing`)."""
ANY_SPACING = (*BY_TIME, "lcm", "karras", "exponential", "beta", "sigmas", *COMFY)


@dataclass(frozen=True)
class Kind:
    """One sampler: what it takes, and the share of fresh noise (eta) it is defined by.

    about: one line, with its paper. random: eta may be chosen. draws: fresh noises a step draws where eta is above 0.
    unit: pure noise begins with deviation 1, as in Ho et al. 2020, rather than with the first level's sigma.
    tables, spacings: the schedules it takes. pure: it can leave a first level without any picture in it (alpha = 0);
    flow schedules always begin there, and all that take them can.
    spacing, placing: what its scheduler in diffusers takes where a model names no spacing, and how it means leading and
    linspace (`diffusion.spacing`). own_spacing: it takes that whatever the model names.
    """

    about: str
    eta: float = 0.0
    random: bool = False
    draws: int = 1
    unit: bool = False
    tables: tuple[str, ...] = TABLES
    spacings: tuple[str, ...] = ANY_SPACING
    pure: bool = True
    spacing: str = "linspace"
    placing: str = "even"
    own_spacing: bool = False


class _Placed(TypedDict):
    spacing: str
    placing: str


FROM_THE_TABLE: _Placed = {"spacing": "leading", "placing": "whole"}

KINDS: dict[str, Kind] = {
    "ddpm": Kind("eta = 1 on all levels (Ho et al. 2020)", eta=1.0, random=True, unit=True, **FROM_THE_TABLE),
    "ddim": Kind("eta = 0: no fresh noise (Song et al. 2021)", random=True, unit=True, **FROM_THE_TABLE),
    "euler": Kind("eta = 0: one slope a step (Karras et al. 2022)"),
    "euler_ancestral": Kind("eta = 1 on any levels (Song et al. 2021)", eta=1.0, random=True),
    "flow_euler": Kind("euler, on flow schedules only (Lipman et al. 2023)", tables=("flow",)),
    "heun": Kind("the mean of the slopes at both ends (Karras et al. 2022, algorithm 1)", pure=False),
    "dpm2": Kind("the slope in the middle (DPM-Solver-2, Lu et al. 2022a)", pure=False),
    "dpm2_ancestral": Kind(
        "dpm2 to a cleaner level, then fresh noise", eta=1.0, tables=VARIANCE_PRESERVING, pure=False
    ),
    "lms": Kind(
        "a cubic through the last four slopes (linear multistep, Adams-Bashforth)", pure=False,
        # after many tiny steps a cubic leads nowhere in a large one
        spacings=tuple(spacing for spacing in ANY_SPACING if spacing != "comfy_linear_quadratic"),
    ),
    "dpmpp_2s": Kind(
        "second order, every other level a halfway point (DPM-Solver++, Lu et al. 2022b)",
        unit=True, placing="ahead", own_spacing=True,
    ),
    "dpmpp_2m": Kind("second order from the last two x0 (DPM-Solver++, Lu et al. 2022b)", unit=True, placing="ahead"),
    "dpmpp_3m": Kind("third order from the last three x0 (DPM-Solver++, Lu et al. 2022b)", unit=True, placing="ahead"),
    "dpmpp_sde": Kind(
        "eta = 1 with x0 taken in the middle; two draws a step (Lu et al. 2022b)",
        eta=1.0, draws=2, tables=VARIANCE_PRESERVING, pure=False,
    ),
    "dpmpp_2m_sde": Kind("dpmpp_2m with fresh noise (Lu et al. 2022b)", eta=1.0, unit=True, placing="ahead"),
    "deis": Kind("a line through the last two eps (Zhang & Chen 2023)", unit=True, placing="ahead"),
    "unipc": Kind(
        "predicts, then corrects with what the next step sees (Zhao et al. 2023)", unit=True, placing="ahead"
    ),
    "pndm": Kind(
        "a cubic through the last four eps, evenly spaced (Liu et al. 2022)",
        unit=True, tables=("linear", "scaled_linear"), spacings=BY_TIME, pure=False, **FROM_THE_TABLE,
    ),
    "lcm": Kind(
        "to x0 and back with fresh noise, a few steps (Luo et al. 2023)",
        eta=1.0, unit=True, spacing="lcm", own_spacing=True,
    ),
}  # fmt: skip


def kind_of(sampler: Sampler, schedule: Schedule) -> tuple[Kind, float]:
    """The sampler's entry in `KINDS` and its eta. ValueError if there is none, or it does not take eta or schedule."""
    kind = KINDS.get(sampler.kind)
    if kind is None:
        raise ValueError(f'unknown sampler "{sampler.kind}"; known: {", ".join(KINDS)}')
    what = _refused(kind, schedule)
    if what:
        fitting = ", ".join(name for name, other in KINDS.items() if not _refused(other, schedule))
        raise ValueError(f'sampler "{sampler.kind}" {what}; this one takes {fitting}')
    eta = kind.eta if sampler.eta is None else sampler.eta
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in 0 … 1, got {eta:g}")
    if sampler.eta is not None and sampler.eta != kind.eta and not kind.random:
        raise ValueError(f'sampler "{sampler.kind}" takes no eta; those that do: {", ".join(takes_eta())}')
    return kind, eta


def fits_table(kind: str, table: str) -> str:
    """Why a sampler cannot walk the levels of a table, and those that can; empty if it can."""
    if kind not in KINDS or table in KINDS[kind].tables:
        return ""
    fitting = ", ".join(name for name, other in KINDS.items() if table in other.tables)
    return f'sampler "{kind}" needs a {_either(KINDS[kind].tables)} schedule, not {table}; this one takes {fitting}'


def takes_eta() -> list[str]:
    """The samplers whose share of fresh noise may be chosen."""
    return [name for name, kind in KINDS.items() if kind.random]


def _refused(kind: Kind, schedule: Schedule) -> str:
    """Why a sampler cannot take a schedule; empty if it can."""
    if schedule.kind not in kind.tables:
        return f"needs a {_either(kind.tables)} schedule, not {schedule.kind}"
    if schedule.spacing not in kind.spacings:
        return f"needs {_either(kind.spacings)} spacing, not {schedule.spacing}"
    if not kind.pure and schedule.kind != "flow" and schedule.levels[0].alpha == 0:
        return "cannot start from a level that is noise alone (zero SNR)"
    return ""


def _either(names: tuple[str, ...]) -> str:
    return " or ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
