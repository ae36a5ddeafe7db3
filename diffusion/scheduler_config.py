"""What a scheduler_config.json of diffusers says: the noise table, its spacing, and the sampler.

What the file leaves out is what the class that it names takes. Importing this file imports no tensor library.
"""

from collections.abc import Mapping
from typing import Any

from diffusion.types import Prediction, ScheduleConfig

SAMPLERS = {
    "DDIMScheduler": ("ddim", "leading"),
    "DDPMScheduler": ("ddpm", "leading"),
    "DEISMultistepScheduler": ("deis", "linspace"),
    "DPMSolverMultistepScheduler": ("dpmpp_2m", "linspace"),
    "EulerAncestralDiscreteScheduler": ("euler_ancestral", "linspace"),
    "EulerDiscreteScheduler": ("euler", "linspace"),
    "FlowMatchEulerDiscreteScheduler": ("flow_euler", "linspace"),
    "FlowMatchHeunDiscreteScheduler": ("heun", "linspace"),
    "HeunDiscreteScheduler": ("heun", "linspace"),
    "KDPM2AncestralDiscreteScheduler": ("dpm2_ancestral", "linspace"),
    "KDPM2DiscreteScheduler": ("dpm2", "linspace"),
    "LCMScheduler": ("lcm", "lcm"),
    "LMSDiscreteScheduler": ("lms", "linspace"),
    "PNDMScheduler": ("pndm", "leading"),
    "UniPCMultistepScheduler": ("unipc", "linspace"),
}
"""Scheduler classes: our sampler, and the spacing that a file which names none means."""

PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "sample": "sample", "v_prediction": "v"}


def sampler_of(scheduler: Mapping[str, Any]) -> str:
    """Our name of its sampler. KeyError for a class that weft does not know."""
    # with stochastic_sampling the flow's Euler step goes to x0 and back with fresh noise, which is lcm on a flow
    return "lcm" if scheduler.get("stochastic_sampling") else SAMPLERS[str(scheduler["_class_name"])][0]


def prediction_of(scheduler: Mapping[str, Any]) -> Prediction:
    """What the network's output stands for. KeyError for what weft does not know."""
    if _flows(scheduler):
        return "flow"
    return PREDICTIONS[scheduler.get("prediction_type", "epsilon")]


def schedule_of(scheduler: Mapping[str, Any], even: str = "linspace") -> ScheduleConfig:
    """The noise table. KeyError or ValueError for what weft does not know.

    even: the even spacing of a flow, which belongs to the pipeline and stands in no file.
    """
    name = str(scheduler["_class_name"])
    if scheduler.get("trained_betas") is not None:
        raise ValueError("trained_betas, a table of its own")
    if not _flows(scheduler):
        # LCM's scheduler has a timestep_spacing, and takes no notice of it
        even = "lcm" if name == "LCMScheduler" else str(scheduler.get("timestep_spacing", SAMPLERS[name][1]))
    spacing = even
    for flag in ("karras", "exponential", "beta"):
        spacing = flag if scheduler.get(f"use_{flag}_sigmas") else spacing
    count = int(scheduler.get("num_train_timesteps", 1000))
    if _flows(scheduler):
        return _flow(scheduler, count, spacing, even)
    kinds = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
    return ScheduleConfig(
        kind=kinds[scheduler.get("beta_schedule", "linear")],
        train_steps=count,
        beta_start=float(scheduler.get("beta_start", 1e-4)),
        beta_end=float(scheduler.get("beta_end", 0.02)),
        spacing=spacing,
        states_spacing="timestep_spacing" in scheduler,
        even=even,
        distilled_steps=int(scheduler.get("original_inference_steps", 50)),
        steps_offset=int(scheduler.get("steps_offset", 0)),
        zero_snr=bool(scheduler.get("rescale_betas_zero_snr", False)),
        ends_clean=scheduler.get("set_alpha_to_one"),
    )


def _flow(scheduler: Mapping[str, Any], count: int, spacing: str, even: str) -> ScheduleConfig:
    known = {"invert_sigmas": (None, False), "shift_terminal": (None,), "time_shift_type": (None, "exponential")}
    for key, values in known.items():
        if scheduler.get(key) not in values:
            raise ValueError(f"{key} {scheduler[key]!r}")
    if not scheduler.get("use_dynamic_shifting"):
        return ScheduleConfig("flow", count, spacing=spacing, even=even, shift=float(scheduler.get("shift", 1.0)))
    return ScheduleConfig(
        kind="flow",
        train_steps=count,
        spacing=spacing,
        even=even,
        base_shift=float(scheduler.get("base_shift", 0.5)),
        max_shift=float(scheduler.get("max_shift", 1.15)),
        base_tokens=int(scheduler.get("base_image_seq_len", 256)),
        max_tokens=int(scheduler.get("max_image_seq_len", 4096)),
    )


def _flows(scheduler: Mapping[str, Any]) -> bool:
    return str(scheduler["_class_name"]).startswith("FlowMatch")
