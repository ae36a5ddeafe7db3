"""Where models are found: by the name of one that ships with weft, by path, by "sha256:…", by a name in the folders of
weft.toml, or by hub id in the local cache; in this order. Nothing is downloaded: what is not there is answered with
what to type.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from diffusion import hub
from diffusion.recipes import ModelRecipe, Recipe, TextEncoderRecipe, VAERecipe
from engine.errors import Problem, WeftError, error
from engine.places import places
from engine.text import did_you_mean, quoted
from nodes import placed

if TYPE_CHECKING:
    from diffusion.identify import Identity
    from diffusion.single import Single
    from engine.cache import Cache

SHIPPED = Path(__file__).parent.parent / "models"
CHECKPOINTS = "weft loads Stable Diffusion 1.x and 2.x, SDXL, SD3, Flux, and the models it trained"
LORA = "pytorch_lora_weights.safetensors"
"""What diffusers calls a LoRA in a folder of its own."""
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")

Recipes = tuple[ModelRecipe, TextEncoderRecipe, VAERecipe]
T = TypeVar("T")


def shipped() -> dict[str, Path]:
    """What ships with weft, by name: the folders of models and ControlNets, and the files of LoRAs."""
    marks = "config.json", "model_index.json", LORA
    folders = sorted(SHIPPED.iterdir()) if SHIPPED.is_dir() else ()
    marked = {p.name: p for p in folders if any((p / mark).is_file() for mark in marks)}
    return {name: p / LORA if (p / LORA).is_file() else p for name, p in marked.items()}


def hub_cache() -> Path:
    """The folder in which hub ids are looked up."""
    return hub.cache()


def find_model(
    source: str, folder: Path, revision: str | None = None, kind: str = "checkpoint", variant: str | None = None
) -> Path:
    """The folder or the file of a model. Relative paths are relative to the workflow's folder.

    kind: as `nodes.placed` calls it. variant: of the weights that a message says
    are to be downloaded. Raises E-NOTFOUND (what to download, if it looks like a hub id) and E-PICKLE.
    """
    if (ours := shipped().get(source)) is not None:
        return ours
    path = Path(source).expanduser()
    path = path if path.is_absolute() else folder / path
    if not path.exists() and not revision:
        by_digest = placed.by_digest(source, folder)
        path = placed.whole(by_digest) if by_digest else placed.find(source, folder, kind) or path
    if path.is_file() and path.suffix.lower() in PICKLES:
        raise _pickle(source, f"{quoted(source)} is a pickle, which could run code; not loaded", path)
    if path.is_dir() or path.is_file():
        return path
    if found := hub.snapshot(source, revision or ""):
        return found
    if hub.is_id(source):
        what = f"no model {quoted(source)}{f' at revision {quoted(revision)}' if revision else ''}"
        hint = f"get it with {hub.how_to_get(source, revision or '', variant or '')}"
        where = f"neither a folder nor in the hub cache {quoted(str(hub.cache()))}"
        raise error(Problem("E-NOTFOUND", f"{what}, {where}", hint, exit_code=3))
    hint = did_you_mean(source, [*shipped(), *(one.name for one in placed.all_placed(folder))])
    named = " or a model in the folders of weft.toml" if places(folder).models else ""
    what = f"no model {quoted(source)}, neither shipped nor a folder, a file, a hub id{named}"
    raise error(Problem("E-NOTFOUND", what, hint, exit_code=3))


def model_files(
    source: str,
    folder: Path,
    allowed: Sequence[Path] = (),
    revision: str | None = None,
    variant: str | None = None,
    config: str | None = None,
) -> list[Path]:
    """The files whose content a checkpoint's source stands for (an `engine.spec.FilesOf`). Errors as in `recipes`."""
    from diffusion import checkpoint
    from diffusion import folder as layout

    path = find_model(source, folder, revision, variant=variant)
    recipes(source, folder, revision, variant, config)
    if path.is_file():
        return list(_single(path, source, folder, config).files)
    if (path / layout.INDEX).is_file():
        return list(layout.read(path, variant or "").files)
    return [path / checkpoint.CONFIG, path / checkpoint.WEIGHTS]


def recipes(
    source: str,
    folder: Path,
    revision: str | None = None,
    variant: str | None = None,
    config: str | None = None,
) -> Recipes:
    """The recipes of a checkpoint of any layout, from its JSON files and the headers of its weights.

    Raises E-NOTFOUND, E-PICKLE, E-MODEL for a damaged file, and E-ARCH for a model that weft does not know or a file
    that is none.
    """
    from diffusion import checkpoint, single
    from diffusion import folder as layout

    path = find_model(source, folder, revision, variant=variant)
    if path.is_file():
        found = _single(path, source, folder, config)
        return told(lambda: single.recipes(found), source)
    if (path / layout.INDEX).is_file():
        return told(lambda: layout.recipes(path, variant or ""), source)
    return told(lambda: checkpoint.recipes(path), source)


def taken_variant(model: ModelRecipe) -> str:
    """The variant of a denoiser's weights that was taken though nobody asked for one; empty for plain ones."""
    from diffusion import folder as layout
    from diffusion.parts import variant_of

    part = layout.NETWORKS.get(model.family)
    source = Path(model.source)
    if part is None or model.variant or source.is_file():
        return ""
    return variant_of(source / part, layout.WEIGHTS[part])


def told(read: Callable[[], T], source: str, known: str = CHECKPOINTS) -> T:
    """What `read` gives, its errors about model files as problems.

    source: how messages call the model. known: what weft loads, for one that it does not know.
    """
    from diffusion.header import DamagedError, PickleError

    try:
        return read()
    except FileNotFoundError as why:
        raise error(Problem("E-NOTFOUND", str(why), exit_code=3)) from why
    except PickleError as why:
        raise _pickle(source, str(why)) from why
    except DamagedError as why:
        raise error(Problem("E-MODEL", str(why), "download it again")) from why
    except ValueError as why:
        raise error(Problem("E-ARCH", str(why), known)) from why


def known_as(path: Path, source: str, *wanted: str) -> "Identity":
    """What a .safetensors file is. Raises E-ARCH unless it is one of those kinds, E-MODEL, E-PICKLE and E-NOTFOUND."""
    from diffusion.identify import identify

    found = told(lambda: identify(path), source)
    if found.what not in wanted:
        raise error(Problem("E-ARCH", f"{quoted(source)} is {found}", found.hint))
    return found


def source_digest(recipe: Recipe, cache: "Cache") -> dict[str, str]:
    """The SHA-256 of every file of weights that a recipe reads, by its path in the model, and its "commit" if it came
    from the hub. Digests that the cache remembers are not computed again, so after a run this costs next to nothing.
    """
    source = Path(recipe.source)
    files = [source] if source.is_file() else sorted(source.rglob("*.safetensors"))
    found = {f.relative_to(source).as_posix() if f != source else f.name: cache.sha256(f) for f in files}
    commit = hub.commit_of(source)
    return {**found, "commit": commit} if commit else found


def _single(path: Path, source: str, folder: Path, config: str | None) -> "Single":
    """A single file with the folder that says how to read it."""
    from diffusion import single
    from diffusion.identify import whole

    identity = known_as(path, source, "checkpoint")
    if identity.family not in ("sd", "sdxl"):
        what = f"{quoted(source)} is {identity}; in one file weft loads Stable Diffusion 1.x, 2.x and SDXL"
        raise error(Problem("E-ARCH", what, whole(identity.family)))
    row = single.kind_of(identity)
    if config is None:
        ids = single.CONFIGS.get(row, ())
        given = next(filter(None, map(hub.snapshot, ids)), None)
        if given is None:
            raise _without_config(source, identity, ids)
    else:
        given = find_model(config, folder)
    return told(lambda: single.read(path, given), source)


def _without_config(source: str, identity: "Identity", ids: Sequence[str]) -> WeftError:
    from diffusion import single

    if not ids:
        what = f"{quoted(source)} is {identity} of a kind that the file does not tell"
        return error(Problem("E-NOTFOUND", what, "name a folder in diffusers layout as config", exit_code=3))
    what = f"{quoted(source)} is {identity}; the file has no tokenizer and no configuration"
    hint = f"get them with {hub.how_to_get(ids[0], only=single.SMALL)}, or name a folder that has them as config"
    return error(Problem("E-NOTFOUND", what, hint, exit_code=3))


def _pickle(source: str, what: str, path: Path | None = None) -> WeftError:
    hint = f"weft convert {path or 'FILE'} explains the risk"
    return error(Problem("E-PICKLE", what, hint, exit_code=5))
