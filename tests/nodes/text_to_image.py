"""The graph that most tests of sampling begin with."""


def graph(source, text="7", scale=2.0, steps=4, seed=5, **changes):
    """Text to image with a model; node__input=value changes it, and node={…} adds to it."""
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": str(source)},
        "wanted": {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": text},
        "guide": {"type": "CFG", "model": "@base.model", "positive": "@wanted", "scale": scale},
        "schedule": {"type": "NoiseSchedule", "model": "@base.model", "steps": steps},
        "sampler": {"type": "Sampler", "kind": "ddim"},
        "noise": {"type": "Noise", "seed": seed},
        "blank": {"type": "EmptyLatent", "model": "@base.model"},
        "denoise": {
            "type": "UNetDenoise",
            "guider": "@guide",
            "schedule": "@schedule",
            "sampler": "@sampler",
            "noise": "@noise",
            "latent": "@blank",
        },
        "decode": {"type": "VAEDecode", "vae": "@base.vae", "latent": "@denoise"},
    }
    for name, value in changes.items():
        node, _, key = name.partition("__")
        nodes[node] = {**nodes.get(node, {}), key: value} if key else value
    return nodes
