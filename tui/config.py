"""What the person set, in a file that may be edited by hand: `tui.toml` in the user's configuration folder.

theme = "weft-dark"
[keys]
"run.queue" = "f5,ctrl+j"
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from engine.files import write_atomic
from engine.places import config_folder
from engine.text import visible

CHOICES: dict[str, tuple[str, ...]] = {
    "theme": ("weft-dark", "weft-light", "ansi"),
    "view": ("rails", "canvas", "json"),
    "images": ("auto", "half", "sixel", "tgp", "off"),
    "seed": ("fixed", "increment", "random"),
    "keep_going": ("no", "yes"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "dtype": ("auto", "float32", "bfloat16", "float16"),
}
"""What each setting may be."""
ABOUT: dict[str, str] = {
    "theme": "colours; ansi takes the terminal's own",
    "view": "how the graph is drawn at first",
    "images": "pictures full screen: in half cells, in pixels (sixel, tgp of kitty), or not at all",
    "seed": "what becomes of seeds at each run",
    "keep_going": "after a failure finish what does not need it",
    "device": "where to compute",
    "dtype": "of numbers; auto goes by the device",
}


@dataclass(frozen=True, slots=True)
class Config:
    """The settings. keys: by the id of an action, the keys that do it."""

    theme: str = "weft-dark"
    view: str = "rails"
    images: str = "auto"
    seed: str = "fixed"
    keep_going: str = "no"
    device: str = "auto"
    dtype: str = "auto"
    out: str = "out"
    keys: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """What was wrong with the file; the settings concerned are then the usual ones."""

    def next(self, name: str) -> "Config":
        """With the next of the values that a setting may have."""
        choices = CHOICES[name]
        now = getattr(self, name)
        at = choices.index(now) if now in choices else -1
        changed: dict[str, Any] = {name: choices[(at + 1) % len(choices)]}
        return replace(self, **changed)


def config_path() -> Path:
    """tui.toml in weft's folder among the user's configuration."""
    return config_folder() / "tui.toml"


def load(path: Path | None = None) -> Config:
    """The settings in the file; the usual ones where there is none, or where it is wrong."""
    path = path or config_path()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Config()
    except (OSError, ValueError) as why:
        return Config(problems=(f"{visible(str(path))}: {visible(str(why))}",))
    return _config(data, path)


def _config(data: Mapping[str, Any], path: Path) -> Config:
    found: dict[str, Any] = {}
    wrong: list[str] = []
    known = {f.name for f in fields(Config)} - {"keys", "problems"}
    for name, value in data.items():
        if name == "keys" and isinstance(value, dict):
            found["keys"] = {k: v for k, v in value.items() if isinstance(v, str)}
            wrong += [f"keys.{visible(k)} must be text" for k, v in value.items() if not isinstance(v, str)]
        elif name not in known:
            wrong.append(f"{visible(name)} is no setting")
        elif not isinstance(value, str) or (name in CHOICES and value not in CHOICES[name]):
            wrong.append(f"{name} must be {' or '.join(CHOICES.get(name, ('text',)))}")
        else:
            found[name] = value
    return Config(**found, problems=tuple(f"{visible(str(path))}: {what}" for what in wrong))


def save(config: Config, path: Path | None = None) -> None:
    """Write the settings that are not the usual ones. Raises WeftError if that fails."""
    path = path or config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    usual = Config()
    lines = [
        f"{f.name} = {_quoted(getattr(config, f.name))}"
        for f in fields(Config)
        if f.name not in ("keys", "problems") and getattr(config, f.name) != getattr(usual, f.name)
    ]
    if config.keys:
        lines += ["", "[keys]", *(f"{_quoted(k)} = {_quoted(v)}" for k, v in config.keys.items())]
    write_atomic(path, "".join(f"{line}\n" for line in lines).encode())


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's escapes are among those it has."""
    import json

    return json.dumps(text, ensure_ascii=True)
