"""ComfyUI's samplers and schedulers: which of ours does the same, and where it differs."""

EXACT = {
    "euler": "euler", "ddim": "euler", "heun": "heun", "dpm_2": "dpm2", "lms": "lms", "dpmpp_2m": "dpmpp_2m",
}  # fmt: skip
"""Samplers without fresh noise that do the same arithmetic. ComfyUI's ddim is Euler's method."""

FRESH = {
    "euler_ancestral": "euler_ancestral", "dpm_2_ancestral": "dpm2_ancestral", "ddpm": "ddpm", "lcm": "lcm",
    "dpmpp_sde": "dpmpp_sde", "dpmpp_sde_gpu": "dpmpp_sde", "dpmpp_2m_sde": "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu": "dpmpp_2m_sde", "dpmpp_2m_sde_heun": "dpmpp_2m_sde", "dpmpp_2m_sde_heun_gpu": "dpmpp_2m_sde",
}  # fmt: skip
"""Samplers that draw fresh noise at each step."""

NEAR = {
    "deis": ("deis", "of third order there, of second here"),
    "uni_pc": ("unipc", "of third order and variant bh1 there, of second and bh2 here"),
    "uni_pc_bh2": ("unipc", "of third order there, of second here"),
    "heunpp2": ("heun", "Heun's method with other weights"),
    "dpm_fast": ("dpmpp_2m", "a solver of up to third order"),
    "dpm_adaptive": ("dpmpp_2m", "a solver that chooses its own steps"),
    "dpmpp_2s_ancestral": ("dpmpp_2s", "with fresh noise there, without here"),
    "dpmpp_3m_sde": ("dpmpp_2m_sde", "of third order there, of second here"),
    "dpmpp_3m_sde_gpu": ("dpmpp_2m_sde", "of third order there, of second here"),
    "ipndm": ("lms", "both go by the last four slopes"),
    "ipndm_v": ("lms", "both go by the last four slopes"),
    "res_multistep": ("dpmpp_2m", "both go by the last two x0"),
    "res_multistep_ancestral": ("dpmpp_2m_sde", "both go by the last two x0, with fresh noise"),
    "gradient_estimation": ("euler", "Euler's method with a corrected slope"),
    "er_sde": ("dpmpp_2m_sde", "both solve the SDE with earlier x0"),
    "seeds_2": ("dpmpp_sde", "both take x0 in the middle, with fresh noise"),
    "seeds_3": ("dpmpp_sde", "both take x0 in between, with fresh noise"),
    "sa_solver": ("dpmpp_2m_sde", "both solve the SDE with earlier x0"),
    "euler_cfg_pp": ("euler", "guided by CFG++ there, by CFG here"),
    "euler_ancestral_cfg_pp": ("euler_ancestral", "guided by CFG++ there, by CFG here"),
    "dpmpp_2m_cfg_pp": ("dpmpp_2m", "guided by CFG++ there, by CFG here"),
}
"""Samplers that we do not have: the nearest of ours, and what differs."""

FLOWLESS = {"dpm2_ancestral": "euler_ancestral", "dpmpp_sde": "euler_ancestral"}
"""Ours that walk no flow, and what to take there instead."""

ALIKE_ON_A_FLOW = ("euler", "heun", "dpm2", "lms")
"""Those that do the same as ComfyUI's on a flow, too."""

LEFT_OUT = ("dpm2", "dpm2_ancestral", "unipc")
"""Samplers of ours for which ComfyUI's KSampler leaves out a level."""

SCHEDULERS = ("normal", "simple", "sgm_uniform", "ddim_uniform", "beta", "karras", "exponential", "kl_optimal",
              "linear_quadratic")  # fmt: skip


def steps_of(spacing: str, steps: int) -> int:
    """How many steps a scheduler makes when it is asked for `steps`, of the 1,000 that a model was trained on."""
    return len(range(1, 1000, max(1000 // steps, 1))) if spacing == "comfy_ddim_uniform" else steps


def sampler_of(name: str, flow: bool) -> tuple[str, str]:
    """(our sampler, what differs; empty if nothing does). ("", "") for one that nobody knows."""
    if name in EXACT:
        kind, what = EXACT[name], ""
    elif name in FRESH:
        kind = FRESH[name]
        what = f"{name} draws fresh noise at each step, ComfyUI other numbers than weft: a picture of the same kind"
    elif name in NEAR:
        kind, how = NEAR[name]
        what = f"{name} has no match; nearest: {kind} ({how})"
    else:
        return "", ""
    if flow and kind in FLOWLESS:
        return FLOWLESS[kind], f"{name} walks no flow here; nearest: {FLOWLESS[kind]}"
    if flow and name in EXACT and kind not in ALIKE_ON_A_FLOW:
        what = f"{name} takes the steps of a flow by log(alpha / sigma) here, in ComfyUI by log(1 / sigma)"
    return kind, what
