"""ControlImage: what a ControlNet follows, found in a picture."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node, Seed
from engine.text import quoted
from nodes.files import find_folder
from nodes.sockets import Image

if TYPE_CHECKING:
    import numpy as np

Kind = Literal[
    "canny", "lineart", "scribble", "shuffle", "tile", "blur", "luminance", "binary", "colour", "invert", "depth",
    "segment", "hed", "pidi", "mlsd", "openpose", "normalbae", "midas", "lineart_realistic", "lineart_anime",
]  # fmt: skip

MODELS = {"depth": "depth-anything/Depth-Anything-V2-Small-hf", "segment": "openmmlab/upernet-convnext-small"}
"""Kinds that take a model of transformers, and a good one of each."""

ANNOTATORS = "lllyasviel/Annotators"
NETWORKS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "hed": ("HEDdetector", ("ControlNetHED.pth",)),
    "pidi": ("PidiNetDetector", ("table5_pidinet.pth",)),
    "mlsd": ("MLSDdetector", ("mlsd_large_512_fp32.pth",)),
    "openpose": ("OpenposeDetector", ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth")),
    "normalbae": ("NormalBaeDetector", ("scannet.pt",)),
    "midas": ("MidasDetector", ("dpt_hybrid-midas-501f0c75.pt",)),
    "lineart_realistic": ("LineartDetector", ("sk_model.pth", "sk_model2.pth")),
    "lineart_anime": ("LineartAnimeDetector", ("netG.pth",)),
}
"""Kinds that controlnet-aux detects: the class, and the files of ANNOTATORS that it reads."""

SETTINGS = {
    "canny": ("low", "high"), "lineart": ("sigma", "threshold"), "scribble": ("threshold",), "shuffle": ("size",),
    "tile": ("size",), "blur": ("sigma",), "binary": ("threshold",), "colour": ("size",),
}  # fmt: skip
"""The settings that a kind without a network has; where one is absent, its own default counts."""


def detector_files(source: str, folder: Path, allowed: Sequence[Path] = (), *, kind: str = "canny") -> list[Path]:
    """The files that a kind reads of its model (an `engine.spec.FilesOf`, beside kind). Raises E-NOTFOUND."""
    if kind in MODELS:
        found = find_folder(source, folder)
        files = sorted(path for path in found.iterdir() if path.suffix in (".json", ".safetensors"))
        if not any(path.suffix == ".safetensors" for path in files):
            raise error(Problem("E-NOTFOUND", f"{quoted(source)} holds no .safetensors", _get(kind), exit_code=3))
        return files
    if kind not in NETWORKS:
        return []
    found = find_folder(source, folder)
    files = [found / name for name in NETWORKS[kind][1]]
    if absent := [path.name for path in files if not path.is_file()]:
        raise error(Problem("E-NOTFOUND", f"{quoted(source)} has no {' or '.join(absent)}", _get(kind), exit_code=3))
    return files


def _get(kind: str) -> str:
    if kind in MODELS:
        return f"get it with weft models pull {MODELS[kind]}, and give {MODELS[kind]} as model"
    # pickles, which weft does not fetch; of these only tensors are read
    local = ANNOTATORS.partition("/")[2]
    names = " ".join((ANNOTATORS, *NETWORKS[kind][1]))
    return f"get it with hf download {names} --local-dir {local}, and give {local} as model"


class ControlImage(Node):
    """What a ControlNet follows, found in a picture, at the picture's own size: (B, H, W, 3).

    By arithmetic: canny (Canny 1986), lineart, scribble, shuffle (random, by its seed), tile, blur, luminance, binary,
    colour and invert. By a network: depth and segment (a model of transformers), hed and pidi (soft edges), mlsd
    (straight lines), openpose, normalbae, midas, lineart_realistic and lineart_anime (weights for controlnet-aux, of
    which only tensors are read). A setting that a kind does not have does nothing.
    """

    version = 1
    image: Image
    kind: Kind = Input("canny", about="what to find")
    model: str | None = Input(
        None, about="where a network is needed: its folder, or an id in the hub's cache", files=detector_files,
        beside=("kind",),
    )  # fmt: skip
    low: float = Input(100, ge=0, le=2040, about="canny: an edge that touches a strong one")
    high: float = Input(200, ge=0, le=2040, about="canny: a strong edge")
    threshold: float | None = Input(None, ge=0, le=255, about="lineart (8), scribble (32), binary (absent: Otsu's)")
    sigma: float | None = Input(None, ge=0.1, le=512, about="deviation of the blur in pixels: lineart (6), blur (9)")
    size: int | None = Input(None, ge=1, le=4096, about="pixels: shuffle (256), tile (8), colour (64)")
    hands: bool = Input(False, about="openpose: the hands too")
    face: bool = Input(False, about="openpose: the face too")
    seed: int = Seed(0, about="shuffle: picture i of a batch takes seed + i")
    resolution: int = Input(0, ge=0, le=8192, about="detect at this length of the shorter side; 0: at its own")

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        kind = literals.get("kind")
        if kind in (*MODELS, *NETWORKS) and literals.get("model", "") is None:
            yield Problem("E-NOTFOUND", f"{kind} needs a model", _get(kind), Place(input="kind"), exit_code=3)

    def run(self, ctx: Context) -> Image:
        import numpy as np

        from diffusion.masks import alike
        from diffusion.resize import resized, size_for

        (pixels,) = alike([self.image], 3)
        high, wide = pixels.shape[1:3]
        if self.resolution:
            size = size_for((wide, high), factor=self.resolution / min(wide, high))
            pixels = resized(pixels, *size, "area" if size[0] < wide else "lanczos")
        detect = self._detector(ctx)
        found = []
        for i, picture in enumerate((pixels * 255).round().astype(np.uint8)):
            ctx.progress(i, len(pixels))
            found.append(detect(picture, i))
        return Image(resized(np.stack(found).astype(np.float32) / 255, wide, high, "bilinear"))

    def _detector(self, ctx: Context) -> "Callable[[np.ndarray, int], np.ndarray]":
        """From a picture and its place in the batch to what was found in it. Raises E-NOTFOUND, E-PICKLE, E-MODEL."""
        if self.kind not in (*MODELS, *NETWORKS):
            from diffusion import detect

            function = getattr(detect, self.kind)
            asked = {name: getattr(self, name) for name in SETTINGS.get(self.kind, ())}
            asked = {name: value for name, value in asked.items() if value is not None}
            if self.kind == "shuffle":
                return lambda picture, i: function(picture, **asked, seed=self.seed + i)
            return lambda picture, i: function(picture, **asked)
        from diffusion import annotate

        if self.model is None:
            raise error(tuple(self.check({"kind": self.kind, "model": None})))
        files = detector_files(self.model, ctx.settings.folder, kind=self.kind)
        try:
            if self.kind in MODELS:
                network = getattr(annotate, self.kind)(files[0].parent, ctx.device)
            else:
                parts = {"include_hand": self.hands, "include_face": self.face} if self.kind == "openpose" else {}
                network = annotate.annotator(NETWORKS[self.kind][0], files, ctx.device, parts)
        except annotate.UnsafePickleError as why:
            hint = f"get the original: {_get(self.kind)}"
            raise error(Problem("E-PICKLE", str(why), hint, exit_code=5)) from why
        except ValueError as why:
            raise error(Problem("E-MODEL", str(why), _get(self.kind))) from why
        return lambda picture, i: network(picture)
