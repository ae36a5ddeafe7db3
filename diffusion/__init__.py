"""Diffusion models from scratch. Read the files in this order; each is one idea and a few pages.

Everything rests on one line: data x0 is mixed with Gaussian noise eps along a path

    x = alpha x0 + sigma eps,

from alpha = 1, sigma = 0 (a picture) to alpha near 0 (noise). A network learns to say, from x and the level, what was
picture and what was noise. Sampling starts at noise and walks back, a little less noise at each step.

    types             the values that travel: levels, latents, conditioning, recipes
    schedule          which levels there are, and which of them a sampler visits
    forward           putting noise on a picture
    parameterisation  four things a network may put out, and how each gives (x0, eps)
    step              the one law that goes from a level to the next: DDPM, DDIM, Euler, flow
    noise             random numbers that do not depend on the batch
    guidance          pushing a sample towards what was asked for
    walk              what a sampler walks along
    kinds             which samplers there are, and what each takes
    samplers          the loop, and solvers of higher order
    borrowed          solvers that remember earlier steps, by diffusers
    unet              the network
    datasets          pictures to learn from
    training          how the network learns
    progress          stopping a training and going on as if nothing had happened
    preview           a quick look while it learns
    checkpoint        the folder a model is kept in
    family, pixel     what each kind of model is fed; for pixel-space models, and what their text means
    stable            for Stable Diffusion 1.x, 2.x and SDXL
    clip, latent      their text encoders, and their VAE
    flowing           what SD3 and Flux have in common
    sd3, flux         for Stable Diffusion 3 and 3.5, and for Flux.1 schnell and dev
    t5                the text encoder that both have beside CLIP
    conditions        zeros for a prompt, and sizes that SDXL is told
    folder            what a model folder in diffusers layout says of itself
    scheduler_config  and what its noise table and sampler are
    prompt            words with weights, and tokens in chunks that an encoder can read
    template          one text that stands for many
    store             models in memory, within a budget
    denoise           all of it together: recipes in, latents out
    evaluate          are the samples any good?
    plots             curves as pictures
"""

import os

# OpenMP's threads wait for each other by spinning. Where another program wants one of the cores too, that makes two
# threads many times slower than one; waiting quietly costs next to nothing alone. It must be set before torch is
# imported, and whoever sets it otherwise is heard.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
