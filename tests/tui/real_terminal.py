"""A terminal of tmux, in which a test starts weft as a person does: what it shows, and the keys that are sent to it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
TMUX = shutil.which("tmux")

DIGIT: dict[str, Any] = {
    "format": 1,
    "params": {"label": "3", "seed": 7, "steps": {"default": 5, "min": 1, "max": 1000}},
    "nodes": {
        "base": {"type": "LoadCheckpoint", "source": "ddpm-digits"},
        "wanted": {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": "$label"},
        "schedule": {"type": "NoiseSchedule", "model": "@base.model", "steps": "$steps"},
        "sampler": {"type": "Sampler", "kind": "ddim"},
        "noise": {"type": "Noise", "seed": "$seed"},
        "blank": {"type": "EmptyLatent", "model": "@base.model"},
        "guide": {"type": "CFG", "model": "@base.model", "positive": "@wanted", "scale": 2.0},
        "denoise": {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@sampler",
                    "noise": "@noise", "latent": "@blank"},
        "decode": {"type": "VAEDecode", "vae": "@base.vae", "latent": "@denoise"},
        "save": {"type": "SaveImage", "image": "@decode", "path": "digit-{label}-{seed}.png"},
    },
}  # fmt: skip
"""One digit, from the model that ships."""

PROMPT = "ready>"


class Terminal:
    """A shell in a tmux of its own. keys are named as tmux names them."""

    count = 0

    def __init__(self, folder: Path, size: tuple[int, int] = (120, 40), **env: str) -> None:
        Terminal.count += 1
        self._socket = f"weft-test-{os.getpid()}-{Terminal.count}"
        self._env = {
            **os.environ, "PS1": f"{PROMPT} ", "ENV": "", "TERM": "xterm-256color", "OMP_NUM_THREADS": "1",
            "WEFT_STATE": str(folder / "state"), "WEFT_CONFIG": str(folder / "config"),
            "WEFT_CACHE": str(folder / "cache"), "TEXTUAL_ANIMATIONS": "none", "LC_ALL": "C.UTF-8", **env,
        }  # fmt: skip
        # the size is that of the terminal, not of the one that the tests run in
        for name in ("TMUX", "COLUMNS", "LINES"):
            self._env.pop(name, None)
        if not env.get("NO_COLOR"):
            self._env.pop("NO_COLOR", None)
        shell = ["env", *(f"{name}={self._env[name]}" for name in ("PS1", "ENV", *env)), "sh"]
        self._tmux("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), "-c", str(folder), *shell)
        self.until(PROMPT)

    def _tmux(self, *words: str) -> str:
        assert TMUX is not None
        done = subprocess.run(
            [TMUX, "-u", "-L", self._socket, "-f", os.devnull, *words],
            env=self._env, capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        return done.stdout

    def weft(self, *words: str) -> None:
        """Start weft in the shell."""
        self.type(" ".join([f"'{sys.executable}'", f"'{ROOT / 'cli.py'}'", *words]))
        self.press("Enter")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def text(self, *, colours: bool = False) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def row(self, part: str) -> str:
        return next((line for line in self.text().splitlines() if part in line), "")

    def until(self, wanted: str | Callable[[], object], seconds: float = 40.0) -> float:
        """Wait until a text is shown, or something is true; returns how long that took."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if wanted in self.text() if isinstance(wanted, str) else wanted():
                return time.monotonic() - begun
            time.sleep(0.05)
        raise AssertionError(f"{wanted} never came true on\n{self.text()}")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def told(self, what: str) -> str:
        """What tmux knows of the terminal, such as `alternate_on`."""
        return self._tmux("display-message", "-p", f"#{{{what}}}").strip()

    def engines(self) -> list[int]:
        """The processes of weft's engine that were started from here."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines() if line.strip()]
        ours = {self.told("pane_pid")}
        for _ in range(4):
            ours |= {row[0] for row in rows if row[1] in ours}
        return [int(row[0]) for row in rows if row[0] in ours and len(row) > 2 and re.search("engine --stdio", row[2])]

    def kill_engine(self) -> None:
        (engine,) = self.engines()
        os.kill(engine, signal.SIGKILL)

    def close(self) -> None:
        subprocess.run([TMUX or "tmux", "-L", self._socket, "kill-server"], capture_output=True, check=False)


def digit(folder: Path, **params: Any) -> Path:
    """The workflow above in a file, with other values of its params."""
    made = json.loads(json.dumps(DIGIT))
    made["params"].update(params)
    path = folder / "digit.json"
    path.write_text(json.dumps(made, indent=2))
    return path
