"""The colour of each kind of wire. Never the only cue: ports carry names, and lanes lead to them."""

_COLOURS = {
    "MODEL": "#b39ddb",
    "TEXT ENCODER": "#d9b020",
    "VAE": "#e05a64",
    "CONDITIONING": "#ee8a3c",
    "LATENT": "#e57fc0",
    "IMAGE": "#4f9fe6",
    "MASK": "#57b35c",
}
_OTHER = "#8a919c"


def colour(kind: str) -> str:
    """The colour of a socket as #rrggbb, readable on black and on white; grey for one without a colour of its own.

    A list of a kind ("[IMAGE]") has the colour of the kind.
    """
    return _COLOURS.get(kind.strip("[]").replace("_", " ").upper(), _OTHER)
