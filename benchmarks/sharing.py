"""Whether what is shared can be made again. Run: uv run python benchmarks/sharing.py [COUNT]

Prints, each beside its target:
  strict    COUNT (default 50) strict runs of each of five workflows, each in a fresh process, in other folders, locales
            and hash seeds, with the cache cold, warm and off: how many digests came out; how many bytes of lock
  perturb   every node of two of them changed alone: how often `weft reproduce` named exactly that node
  texts     `parameters` of 200 prompts, hostile ones among them, in PNG, WebP and JPEG, read back by sd-parsers
  cost      what writing locks, digests and metadata takes, as a share of a run of ten seconds

Name one or several of these after COUNT to print only them. Models are tiny, random and on the CPU.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

SMALL = {"steps": 2, "width": 64, "height": 64}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "ddpm-digit-samples": {"steps": 3, "count": 2},
    "sd15-text-to-image": {"model": "sd15", **SMALL},
    "sdxl-refiner": {"model": "sdxl", "refiner": "sdxl-refiner", **SMALL, "steps": 5},
    "flux-schnell": {"model": "flux-schnell", **SMALL},
    "forward-process": {},
}
"""What is run strictly, and with which values; a model is the name of a tiny checkpoint."""


def values_of(name: str, folder: Path) -> dict[str, Any]:
    """The values of a workflow, its tiny checkpoints made in a folder."""
    import checkpoints
    import checkpoints_dit

    def made(kind: str) -> str:
        there = folder / kind
        maker = checkpoints_dit if kind.startswith(("flux", "sd3")) else checkpoints
        return str(there if there.is_dir() else maker.make(there, kind))

    return {key: made(value) if isinstance(value, str) else value for key, value in WORKFLOWS[name].items()}


def strict_run(name: str, values: Mapping[str, Any], folder: Path, turn: int) -> tuple[tuple[str, ...], bytes]:
    """(the digests of what a strict run of a fresh process saved, the bytes of its lock)."""
    here = folder / f"{name}-{turn}"
    here.mkdir()
    cache = here / "cache" if turn % 3 == 0 else folder / "cache" / name
    environment = {
        **os.environ,
        "WEFT_CACHE": str(cache),
        "PYTHONHASHSEED": str(turn),
        "LC_ALL": ("C", "C.utf8", "POSIX")[turn % 3],
        "TZ": ("UTC", "Asia/Tokyo")[turn % 2],
    }
    words = [sys.executable, str(ROOT / "cli.py"), "run", name, "--strict", "--json", "--quiet"]
    words += [f"{key}={value}" for key, value in values.items()] + (["--no-cache"] if turn % 3 == 2 else [])
    told = subprocess.run(words, cwd=here, env=environment, capture_output=True, text=True, check=True).stdout
    report = json.loads(told)
    (lock,) = report["locks"]
    return tuple(one["digest"] for one in report["outputs"]), (here / lock).read_bytes()


def strict_runs(name: str, count: int, folder: Path) -> tuple[int, int]:
    """(different digests, different locks) of so many strict runs."""
    values = values_of(name, folder)
    found = [strict_run(name, values, folder, turn) for turn in range(count)]
    return len({digests for digests, _ in found}), len({lock for _, lock in found})


def changed(value: Any) -> Any:
    """A value that differs in one number, text or truth value somewhere."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        other = value.clone().flatten()
        other[0] = other[0] + (1 if not other.is_floating_point() else 0.01)
        return other.reshape(value.shape)
    if isinstance(value, np.ndarray):
        array = value.copy()
        array.flat[0] = 0.5 if array.flat[0] != 0.5 else 0.25
        return array
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, Mapping):
        first, *_ = value
        return {**value, first: changed(value[first])}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return value._replace(**{value._fields[0]: changed(value[0])})
    if isinstance(value, tuple) and value:
        return (changed(value[0]), *value[1:])
    if is_dataclass(value) and not isinstance(value, type):
        # a name that a digest holds, and that changes nothing of what is computed from it but numbers
        names = (
            "samples",
            "pixels",
            "values",
            "tensors",
            "levels",
            "level",
            "t",
            "scale",
            "seed",
            "eta",
            "height",
            "channels",
        )
        name = next((n for n in names if getattr(value, n, None) is not None), None) or next(
            f for f in ("eta", "class_names", "dtype") if hasattr(value, f)
        )
        before = getattr(value, name)
        if name == "dtype":
            return replace(value, dtype="float32" if before == "auto" else "auto")
        return replace(value, **{name: 0.5 if before is None else changed(before)})
    raise TypeError(f"no way to change a {type(value).__name__}")


@contextlib.contextmanager
def perturbed(cls: type, node: str) -> Iterator[None]:
    """The one node of that id gives something else, or saves it, than it should."""
    before = cls.__dict__["run"]

    def run(self: Any, ctx: Any) -> Any:
        if ctx.node != node:
            return before(self, ctx)
        if cls.effect:  # type: ignore[attr-defined]
            field = "image" if hasattr(self, "image") else "value"
            return before(self.model_copy(update={field: changed(getattr(self, field))}), ctx)
        return changed(before(self, ctx))

    cls.run = run  # type: ignore[attr-defined]
    try:
        yield
    finally:
        cls.run = before  # type: ignore[attr-defined]


def weft(*words: str) -> tuple[int, Any]:
    """(exit code, standard output as JSON) of a command in this process."""
    import cli

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = cli.main(list(words))
    return code, json.loads(out.getvalue() or "null")


def named(name: str, values: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """For each node of a workflow, changed alone: what reproduce named as the first that differs; "" for nothing."""
    from nodes import registry

    given = [f"{key}={value}" for key, value in values.items()]
    _, report = weft("run", name, "--json", "--out", str(folder / "out"), *given)
    (lock,) = report["locks"]
    known = registry()
    found = {}
    kinds = json.loads(Path(lock).read_text("utf-8"))["lock"]["nodes"]
    for node, told in kinds.items():
        cls = known.get(told["type"])
        assert cls is not None
        with perturbed(cls, node):
            _, again = weft("reproduce", lock, "--json")
        found[node] = ((again or {}).get("first") or {}).get("node", "")
    return found


HOSTILE = [
    "", " ", "a red fox", "fox, snow, (light:1.3), [dark]", "Negative prompt: blurry", "x\nNegative prompt: y\nz",
    "Steps: 1, Sampler: Euler, CFG scale: 1, Seed: 1, Size: 1x1", "a\nSteps: 9, Sampler: DDIM, Seed: 3, CFG scale: 2",
    'a "quoted" prompt', "back\\slash", "<lora:x:1>", "a\tb", "a\r\nb", "\x1b[31mred\x1b[0m", "nul\0nul", "é 狐 🦊",
    "\u202eright to left", "zero\u200bwidth", "\ufeffmark", "line\u2028separator", "&amp; <xml> ]]>", "%s {n} $x",
    "a" * 3000, "🦊" * 500, "Model: x, Model hash: 123", "Version: v1", '{"json": true}', "{a|b}", "__file__",
    "Seed: 5", "Size: 3x3", ", , ,", ":::", "\n\n\n", "Hashes: {\"a\": 1}", "'; DROP TABLE prompts; --", "\x7f\x80\x9f",
    "\ufffe\uffff", "BREAK", "AND", "@node", "$param",
]  # fmt: skip


def prompts(count: int) -> list[str]:
    """Prompts: the hostile ones, then pairs of them joined."""
    joined = [a + sign + b for sign in ("\n", ", ") for a in HOSTILE for b in reversed(HOSTILE)]
    return (HOSTILE + joined[:: max(1, len(joined) // max(1, count - len(HOSTILE)))])[:count]


def as_written(prompt: str) -> str:
    """What a reader must find: the prompt as docs/sharing.md says it is written, without space at its ends."""
    return prompt.replace("Negative prompt:", "Negative prompt：").replace("\0", "\ufffd").strip()


def texts_read(count: int, folder: Path) -> dict[str, int]:
    """By format, of how many prompts sd-parsers read prompt, negative prompt, model, seed, sampler and size right."""
    from PIL import Image
    from sd_parsers import ParserManager

    from engine.cache import Cache
    from engine.share.picture import with_story

    values = values_of("sd15-text-to-image", folder)
    cache = Cache(folder / "texts-cache")
    right = dict.fromkeys(("PNG", "WEBP", "JPEG"), 0)
    sizes = [(64, 64), (64, 128), (512, 768)]
    for i, prompt in enumerate(prompts(count)):
        size, negative, seed = sizes[i % 3], HOSTILE[i % len(HOSTILE)], i * 2**54 % 2**64
        kind = list(_samplers())[i % len(_samplers())]
        story = _story(
            values, cache, {"prompt": prompt, "negative": negative, "seed": seed, "sampler.kind": kind}, size
        )
        for fmt in right:
            data = io.BytesIO()
            Image.new("RGB", size, (i % 256, 0, 0)).save(data, fmt)
            whole, _ = with_story(data.getvalue(), "x", story, "weft 0")
            found = ParserManager().parse(io.BytesIO(whole))
            assert found is not None
            (sampler,) = found.samplers
            texts = ["".join(map(str, part)) for part in (sampler.prompts, sampler.negative_prompts)]
            told = (*texts, sampler.name, str(sampler.parameters["seed"]), str(sampler.model.name), sampler.model.hash)
            wanted = (as_written(prompt), as_written(negative), _samplers()[kind], str(seed), "sd15", _hash(values))
            right[fmt] += told == wanted and found.metadata["Size"] == f"{size[0]}x{size[1]}"
    cache.close()
    return right


def _samplers() -> dict[str, str]:
    from nodes.parameters import SAMPLERS

    return {kind: name for kind, name in SAMPLERS.items() if kind not in ("flow_euler", "lcm")}


def _hash(values: Mapping[str, Any]) -> str:
    import hashlib

    (weights,) = Path(values["model"], "unet").glob("*.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:10]


def _story(values: Mapping[str, Any], cache: Any, given: Mapping[str, Any], size: tuple[int, int]) -> Any:
    """What the saving node of a text to image would write, without drawing anything."""
    from engine.api import load
    from engine.bind import bind
    from engine.context import Settings
    from engine.plan import make_plan
    from engine.share.book import Book, Page
    from engine.share.picture import Story
    from nodes import registry
    from nodes.parameters import made

    workflow = load(ROOT / "workflows" / "sd15-text-to-image.json", registry=registry())
    book = Book(cache, Settings(folder=ROOT / "workflows"))
    book.open(make_plan([bind(workflow, {**values, **given})], cache, book.settings))
    page = Page(book, book.task(0, "save"))
    told = made(page, "image", *size, "0")
    return Story(page.lock(["0" * 64]), told.of(0), told.source)


def cost(folder: Path) -> dict[str, float]:
    """Seconds of the processor for each part that sharing adds to a run of `ddpm-digits`, and those of the whole run by
    the clock. torch is loaded before, since the run would load it a moment later."""
    import torch  # noqa: F401

    import engine.cache.store
    import engine.share.beside
    import engine.share.picture
    import nodes.image
    from engine.share.book import Book

    spent: dict[str, float] = {}

    def timed(place: Any, name: str, label: str) -> Callable[[], None]:
        before = getattr(place, name)

        def wrapped(*args: Any, **more: Any) -> Any:
            started = time.thread_time()
            try:
                return before(*args, **more)
            finally:
                spent[label] = spent.get(label, 0.0) + time.thread_time() - started

        setattr(place, name, wrapped)
        return lambda: setattr(place, name, before)

    undo = [
        timed(engine.cache.store, "told", "digests of what is not stored"),
        timed(Book, "made", "the book"),
        timed(nodes.image, "_stories", "what the picture carries"),
        timed(engine.share.picture, "with_story", "putting it into the picture"),
        timed(engine.share.beside, "write_lock", "the lock beside it"),
    ]
    try:
        _, report = weft("run", "ddpm-digits", "--no-cache", "--json", "--out", str(folder / "cost"))
    finally:
        for one in undo:
            one()
    return {**spent, "the whole run": report["seconds"]}


def main(words: list[str]) -> None:
    """Print what was asked for."""
    count = int(words[0]) if words and words[0].isdigit() else 50
    wanted = [word for word in words if not word.isdigit()] or ["strict", "perturb", "texts", "cost"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["WEFT_CACHE"] = str(folder / "own-cache")
        if "cost" in wanted:
            parts = cost(folder)
            whole = parts.pop("the whole run")
            for label, seconds in parts.items():
                print(f"cost     {label}: {seconds * 1000:.1f} ms")
            added = sum(parts.values())
            told = f"together {added * 1000:.1f} ms in a run that took {whole:.1f} s"
            print(f"cost     {told}: {added / 10:.2%} of ten seconds; target 1 %")
        if "texts" in wanted:
            for fmt, right in texts_read(200, folder).items():
                print(f"texts    {fmt}: {right} of 200 read right; target 200")
        if "perturb" in wanted:
            for workflow in ("sd15-text-to-image", "ddpm-digit-samples"):
                found = named(workflow, values_of(workflow, folder), folder / workflow)
                right = sum(node == first for node, first in found.items())
                for node, first in found.items():
                    if node != first:
                        print(f"perturb  {workflow}: {node} was changed, and {first or 'nothing'} was named")
                print(f"perturb  {workflow}: {right} of {len(found)} nodes named; target {len(found)}")
        if "strict" in wanted:
            for workflow in WORKFLOWS:
                digests, locks = strict_runs(workflow, count, folder)
                print(f"strict   {workflow}: {count} runs, {digests} digest, {locks} lock; target 1 and 1", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
