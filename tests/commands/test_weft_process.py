"""weft as a process: what it imports, signals, pipes, terminals."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="needs a Unix terminal")

ROOT = Path(__file__).resolve().parents[2]
START = "import sys, cli, toy_nodes; sys.exit(cli.main(registry=toy_nodes.registry()))"
HEAVY = {"torch", "numpy", "diffusers", "networkx", "rich", "PIL", "transformers", "sklearn", "matplotlib", "textual"}

CHAIN = {f"n{i}": {"type": "Calculate", "a": f"@n{i - 1}" if i else 1.0} for i in range(40)}
FILES = {
    "chain": {**CHAIN, "save": {"type": "SaveText", "value": "@n39"}},
    "slow": {
        "quick": {"type": "Calculate", "a": 1},
        "tell": {"type": "Say", "text": "@quick"},
        "slow": {"type": "Steps", "steps": 400, "pause": 0.02},
        "say": {"type": "Say", "text": "@slow"},
    },
    "stuck": {"stuck": {"type": "Steps", "steps": 1, "pause": 60}, "say": {"type": "Say", "text": "@stuck"}},
    "short": {"short": {"type": "Steps", "steps": 30, "pause": 0.02}, "say": {"type": "Say", "text": "@short"}},
    "talk": {f"say{i}": {"type": "Say", "text": "x" * 5000} for i in range(100)},
}


class Shell:
    """A folder with workflows in it, and a way to start weft there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
        paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
        self.environment = {**kept, "PYTHONPATH": paths, "WEFT_CACHE": str(folder / "cache"), "TERM": "xterm-256color"}
        for name, nodes in FILES.items():
            (folder / f"{name}.json").write_text(json.dumps({"format": 1, "nodes": nodes}))

    def python(self, code: str, *words: str, **more) -> subprocess.Popen:
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.environment, **more}
        return subprocess.Popen([sys.executable, "-c", code, *words], cwd=self.folder, text=True, **settings)

    def weft(self, *words: str, **more) -> subprocess.Popen:
        return self.python(START, *words, **more)

    def on_a_terminal(self, *words: str, **variables: str) -> tuple[int, str, str]:
        """(exit code, standard output, what stood on the terminal) of weft with standard error on a terminal."""
        mine, theirs = pty.openpty()
        process = self.weft(*words, stderr=theirs, env={**self.environment, **variables})
        os.close(theirs)
        shown = b""
        while select.select([mine], [], [], 30)[0]:
            try:
                data = os.read(mine, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
        out, _ = process.communicate()
        os.close(mine)
        return process.returncode, out, shown.decode().replace("\r\n", "\n")


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


@pytest.mark.parametrize(
    "words",
    ["--help", "run --help", "run chain.json --help", "check chain.json", "plan chain.json", "graph chain.json",
     "graph chain.json --format svg", "nodes", "nodes CFG", "schema", "errors", "run chain.json",
     "run chain.json --json", "cache ls", "doctor", "diff chain.json chain.json", "check ddpm-digits", "chek"],
)  # fmt: skip
def test_no_command_imports_what_it_does_not_need(shell, words):
    probe = f"import sys, cli; cli.main(sys.argv[1:]); print({{m.partition('.')[0] for m in sys.modules}} & {HEAVY!r})"
    out, err = shell.python(probe, *words.split()).communicate()
    assert out.splitlines()[-1] == "set()", err


def test_the_help_imports_argparse_and_little_else(shell):
    ours = "('engine', 'nodes', 'commands')"
    probe = f"import sys, cli; cli.main(['--help']); print([m for m in sys.modules if m.startswith({ours})])"
    assert shell.python(probe).communicate()[0].splitlines()[-1] == "[]"


def wait_for(process: subprocess.Popen, text: str) -> str:
    """Standard error up to the line that holds `text`."""
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            break
    return seen


def test_s16_the_first_interrupt_stops_within_a_step_and_the_next_run_goes_on(shell):
    process = shell.weft("run", "slow.json", "--json")
    wait_for(process, "▶ slow")
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert process.returncode == 130
    assert "stopping after this step; again to stop at once\n" in err
    assert "⊘ cancelled: 2 ran, 0 cached" in err
    assert "Traceback" not in err
    report = json.loads(out)
    assert report["status"] == "cancelled"
    assert report["nodes"]["slow"]["status"] == "skipped"
    plan = json.loads(shell.weft("plan", "slow.json", "--json").communicate()[0])
    assert {node["node"]: node["status"] for node in plan["nodes"]}["quick"] == "cached"


def test_the_second_interrupt_ends_the_process_at_once(shell):
    process = shell.weft("run", "stuck.json")
    wait_for(process, "will run")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    wait_for(process, "stopping after this step; again to stop at once")
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - started < 3
    assert (process.returncode, err) == (130, "")


def test_a_reader_that_goes_away_ends_a_run_quietly(shell):
    with shell.weft("run", "talk.json") as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Broken" not in err


def test_a_reader_that_goes_away_from_a_list_is_no_error(shell):
    command = f'{sys.executable} -c "import sys, cli; sys.exit(cli.main())" schema | head -c 1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=shell.environment, check=True)
    assert (done.stdout, done.stderr) == ("{0\n", "")


def test_a_log_gets_a_line_about_a_slow_node_at_its_start_and_its_end(shell):
    nodes = {"steps": {"type": "Steps", "steps": 12, "pause": 0.1}, "say": {"type": "Say", "text": "@steps"}}
    (shell.folder / "f.json").write_text(json.dumps({"format": 1, "nodes": nodes}))
    err = shell.weft("run", "f.json").communicate()[1].splitlines()
    assert re.fullmatch(r"▶ steps Steps running 1\d/12, \d+\.\d it/s(, [\d.]+ s left)?, loss 0\.\d\d", err[1])
    assert re.fullmatch(r"✓ steps Steps done 1\.\d s", err[2])
    assert len(err) == 4


def test_a_terminal_gets_a_moving_bar_with_pace_and_time_left(shell):
    code, out, shown = shell.on_a_terminal("run", "short.json")
    assert (code, out) == (0, "30\n")
    assert re.search(r"▶ short Steps ━+╌+  \d+/30  \d+\.\d it/s, (≈ )?[\d.]+ s left  loss 0\.\d\d", shown)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "✓ short Steps done 0." in plain
    assert "✓ done: 2 ran, 0 cached" in plain
    assert "\x1b[32m" in shown
    assert shown.rstrip().endswith("\x1b[0m") or "\x1b[?25h" in shown
    again = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shell.on_a_terminal("run", "short.json")[2])
    assert "≡ short Steps cached" in again


def test_without_colours_every_state_is_still_a_glyph_and_a_word(shell):
    _, _, shown = shell.on_a_terminal("run", "short.json", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)
    assert "✓ short Steps done" in shown
    _, _, dumb = shell.on_a_terminal("run", "short.json", TERM="dumb")
    assert "\x1b" not in dumb
    assert "✓ done: 1 ran, 1 cached" in dumb


def test_an_interrupt_on_a_terminal_is_answered_below_the_bar(shell):
    mine, theirs = pty.openpty()
    process = shell.weft("run", "slow.json", stderr=theirs)
    os.close(theirs)
    shown = b""
    sent = False
    while True:
        try:
            data = os.read(mine, 65536)
        except OSError:
            break
        shown += data
        if not sent and b"it/s" in shown:
            sent = True
            process.send_signal(signal.SIGINT)
    process.communicate()
    os.close(mine)
    assert process.returncode == 130
    assert "⊘ cancelled" in shown.decode()


def test_names_that_are_no_unicode_come_out_as_they_went_in(shell):
    folder = os.fsdecode(b"\xff-out")
    out, err = shell.weft(
        "run", "chain.json", "--out", folder, encoding="utf-8", errors="surrogateescape"
    ).communicate()
    assert os.path.exists(os.path.join(shell.folder, out.rstrip("\n"))), err
