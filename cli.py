"""The command line: which verbs there are and what each takes. The code of a verb is imported when it runs."""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from engine.registry import Registry

ABOUT = """weft runs workflows of diffusion models: JSON files of typed nodes.

Begin with: weft run ddpm-digits
"""


def main(argv: Sequence[str] | None = None, registry: "Registry | None" = None) -> int:
    """Run one command and return its exit code.

    0 done, 1 a run failed, 2 the workflow or the command line is wrong, 3 a model or file is missing, 5 refused as
    unsafe, 130 interrupted. registry: where node types are found; by default weft's own and other installed packs.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _tolerant_streams()
    # What a command makes while it starts lives until its end: looking for garbage in it only takes time.
    gc.disable()
    try:
        code = _dispatch(words, registry)
        if code == 130 and argv is None:
            # Python gives signals back their own effect as it ends: a second Ctrl-C would kill what is ending anyway.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return code
    except KeyboardInterrupt:
        from engine.errors import Cancelled

        return _report(Cancelled(), words)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python flushes once more at exit, and must not complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 130 if words[:1] == ["run"] else 0
    except Exception as why:
        return _report(why, words)
    finally:
        gc.enable()


def _report(why: Exception, words: list[str]) -> int:
    from commands.common import report

    return report(why, as_json="--json" in words, as_lines="--jsonl" in words, debug="--debug" in words)


def _dispatch(words: list[str], registry: "Registry | None") -> int:
    verb = words[0] if words else "tui" if _at_a_terminal() else ""
    if verb in ("", "-h", "--help", "help"):
        sys.stdout.write(help_text())
        return 0
    if verb in ("-V", "--version"):
        from commands.common import version

        print(f"weft {version()}")
        return 0
    if verb not in VERBS:
        from commands.common import unknown_verb

        raise unknown_verb(verb, VERBS)
    parser = parser_of(verb)
    rest = words[1:]
    if "--help" in rest or "-h" in rest:
        asked = [w for w in rest if w not in ("-h", "--help")]
        if verb == "run" and (args := parser.parse(asked, whole=False)).file is not None:
            from commands import about

            return about.main(args, registry)
        sys.stdout.write(parser.format_help())
        if verb == "run":
            from commands import about

            sys.stdout.write(about.shipped_workflows())
        return 0
    args = parser.parse(rest)
    import importlib

    module = VERBS[verb][0]
    whole = module if module.startswith("tui.") else f"commands.{module}"
    code: int = importlib.import_module(whole).main(args, registry)
    sys.stdout.flush()
    return code


def _at_a_terminal() -> bool:
    """Whether a bare `weft` opens the TUI rather than print what it could do."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)) and os.environ.get("TERM") != "dumb"


def _tolerant_streams() -> None:
    """A name that is not valid text is written as the bytes it came from; a glyph that a terminal lacks as its code."""
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if hasattr(stream, "reconfigure"):
            unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
            stream.reconfigure(errors=errors if unicode else "backslashreplace")


class Parser(argparse.ArgumentParser):
    """The arguments of one verb. Its errors are problems like all others, and its help is the same on every Python."""

    def __init__(self, verb: str) -> None:
        super().__init__(prog=f"weft {verb}", add_help=False, allow_abbrev=False)
        self.verb = verb
        VERBS[verb][2](self)
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")
        self._needed = [action for action in self._get_positional_actions() if action.nargs is None]
        for action in self._needed:
            action.nargs, action.required = "?", False

    def parse(self, words: list[str], *, whole: bool = True) -> argparse.Namespace:
        """The arguments, options standing anywhere among them. Raises E-CLI; if not `whole`, only for bad options."""
        args, extra = self.parse_known_intermixed_args(words)
        if extra:
            from commands.common import unknown_argument

            raise unknown_argument(self.verb, extra[0], self._option_string_actions)
        absent = [str(action.metavar) for action in self._needed if getattr(args, action.dest) is None]
        if absent and whole:
            self.error(f"{' and '.join(absent)} missing")
        return args

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            from commands.common import unknown_choice

            raise unknown_choice("/".join(action.option_strings) or str(action.metavar), str(value), action.choices)

    def error(self, message: str) -> NoReturn:
        """Raise E-CLI instead of leaving the process."""
        from commands.common import wrong_usage

        raise wrong_usage(self.verb, message)

    def format_help(self) -> str:
        """Usage, what the verb does, and a line for each argument."""
        rows = [(_named(action), action.help or "") for action in self._actions]
        column = max(len(name) for name, _ in rows) + 2
        usage = " ".join(["weft", self.verb, *map(self._usage, self._get_positional_actions()), "[options]"])
        lines = [f"  {name:<{column}}{text}".rstrip() for name, text in rows]
        return "\n".join([usage, "", VERBS[self.verb][1] + ".", "", *lines]) + "\n"

    def _usage(self, action: argparse.Action) -> str:
        if action in self._needed:
            return str(action.metavar)
        return f"[{action.metavar} ...]" if action.nargs == "*" else f"[{action.metavar}]"


def _named(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar)
    metavar = f" {action.metavar}" if action.metavar else ""
    return ", ".join(action.option_strings) + metavar


def parser_of(verb: str) -> Parser:
    """The parser of a verb's arguments."""
    return Parser(verb)


def help_text() -> str:
    """What `weft --help` prints, and a bare `weft` where there is no terminal."""
    column = max(map(len, VERBS)) + 2
    lines = [f"  {name:<{column}}{about[0].lower()}{about[1:]}" for name, (_, about, _) in VERBS.items()]
    return "\n".join([ABOUT, *lines, "", "weft VERB --help says what a verb takes.", ""])


def _file(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE", help="a workflow, what weft made of one, or the name of a shipped one")


def _values(p: argparse.ArgumentParser) -> None:
    """What decides how a workflow is run: its values, and where."""
    p.add_argument("values", metavar="name=value", nargs="*", help="set a param, or a literal input: node.input=value")
    add = p.add_argument
    add("--sweep", metavar="name=a,b,c", action="append", default=[], help="run for each value; several: all pairs")
    add("--zip", metavar="name=a,b", action="append", default=[], help="as --sweep, but values side by side")
    add("--target", metavar="NODE", action="append", default=[], help="make this node instead of all that save")
    add("--device", metavar="NAME", default="auto", help="cpu, cuda, cuda:1, mps; auto takes the best there is")
    add("--dtype", metavar="NAME", default="auto", help="float32, bfloat16, float16; auto: by device")
    add("--vram", metavar="SIZE", help="bytes of models to keep on the device, such as 8G (default: most of it)")
    add("--offload", metavar="HOW", default="none", help="none; model: one model at a time; group: layer by layer")
    add(
        "--attention",
        metavar="NAME",
        default="auto",
        help="kernel of attention: auto, math, flash, efficient, cudnn, ...",
    )
    add(
        "--speed",
        metavar="HOW",
        default="none",
        help="none; compile networks, which rounds otherwise; graphs of CUDA; compile-graphs",
    )
    add("--strict", action="store_true", help="the same machine and lock give the same bits; no silent fallback")
    add("--no-cache", action="store_true", help="neither read nor write the cache")
    add("--no-metadata", action="store_true", help="pictures do not say how they were made; no lock is written")
    add("--batch", metavar="N", type=int, default=8, help="most variants of a sweep that run together (default: 8)")
    add("--allow", metavar="DIR", action="append", default=[], help="nodes may read files in this folder")


def _run(p: argparse.ArgumentParser) -> None:
    _file(p)
    _values(p)
    p.add_argument("--out", metavar="DIR", default="out", help="folder for what is saved (default: out)")
    p.add_argument("--grid", action="store_true", help="of a sweep, also one labelled picture: grid.png")
    p.add_argument("--keep-going", action="store_true", help="after a failure finish what does not need it")
    _json(p)
    p.add_argument("--jsonl", action="store_true", help="print every event as a line of JSON")
    p.add_argument("--quiet", action="store_true", help="no progress; problems are still shown")


def _plan(p: argparse.ArgumentParser) -> None:
    _file(p)
    _values(p)
    _json(p)


def _check(p: argparse.ArgumentParser) -> None:
    _file(p)
    p.add_argument("--target", metavar="NODE", action="append", default=[], help="only what this node needs")
    p.add_argument("--allow", metavar="DIR", action="append", default=[], help="nodes may read files in this folder")
    _json(p)


def _graph(p: argparse.ArgumentParser) -> None:
    _file(p)
    formats = ("text", "canvas", "mermaid", "dot", "svg")
    text = "text (rails), canvas (boxes), mermaid, dot or svg (default: text)"
    p.add_argument("--format", metavar="NAME", choices=formats, default="text", help=text)


def _nodes(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", metavar="NAME", nargs="?", help="a node type; without it, all are listed")
    _json(p)


def _new(p: argparse.ArgumentParser) -> None:
    p.add_argument("template", metavar="TEMPLATE", nargs="?", help="the name of a shipped workflow")
    p.add_argument("file", metavar="FILE", nargs="?", help="the file to make; one that is there is kept")
    p.add_argument(
        "--node-pack", metavar="NAME", help="in place of these: a package of nodes, in a folder of that name"
    )


def _diff(p: argparse.ArgumentParser) -> None:
    p.add_argument("a", metavar="A", help="a workflow, picture, lock or bundle, the folder of a run, or a shipped name")
    p.add_argument("b", metavar="B", help="the other")
    _json(p)


def _lock(p: argparse.ArgumentParser) -> None:
    _file(p)
    _values(p)
    p.add_argument("--check", action="store_true", help="only compare; exit code 1 if workflow, models or code moved")
    p.add_argument("--update", action="store_true", help="write the lock anew if something moved")
    p.add_argument("--out", metavar="FILE", help="the lock's file (default: the workflow's name with .lock)")
    _json(p)


def _reproduce(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE", help="a picture, a lock or a bundle that weft made")
    add = p.add_argument
    add("--tolerance", metavar="DB", type=float, default=40.0, help="PSNR that counts as near (default: 40)")
    add("--allow", metavar="DIR", action="append", default=[], help="look for models and files in this folder too")
    add("--device", metavar="NAME", help="compute there (default: as the lock says, if that is here)")
    add("--out", metavar="DIR", help="keep what is made in this folder")
    _json(p)


def _bundle(p: argparse.ArgumentParser) -> None:
    _file(p)
    _values(p)
    p.add_argument("--outputs", action="store_true", help="with what the run saved")
    p.add_argument("--out", metavar="FILE", help="the file to make (default: FILE's name with .weft.zip, here)")


def _show(p: argparse.ArgumentParser) -> None:
    _file(p)
    _json(p)


def _extract(p: argparse.ArgumentParser) -> None:
    _file(p)
    p.add_argument("what", metavar="WHAT", nargs="?", choices=("workflow", "lock", "parameters"), default="workflow",
                   help="workflow, lock or parameters (default: workflow)")  # fmt: skip
    p.add_argument("--out", metavar="FILE", help="write it there; a file that is there is kept")


def _strip(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE", help="a PNG, WebP or JPEG")
    p.add_argument("--out", metavar="FILE", help="the copy (default: NAME-bare beside it)")


def _cache(p: argparse.ArgumentParser) -> None:
    p.add_argument("action", metavar="ACTION", choices=("ls", "gc", "why", "verify"), help="ls, gc, why or verify")
    p.add_argument("file", metavar="FILE", nargs="?", help="why: a workflow")
    p.add_argument("node", metavar="NODE", nargs="?", help="why: a node of it; tells why it would run")
    p.add_argument("values", metavar="name=value", nargs="*", help="why: values, as for run")
    add = p.add_argument
    add("--limit", metavar="N", type=int, default=20, help="ls: results listed, latest first (default: 20)")
    add("--max", metavar="SIZE", default="20G", help="gc: keep this much, the latest used (default: 20G)")
    add("--device", metavar="NAME", default="auto", help="why: as for run")
    add("--dtype", metavar="NAME", default="auto", help="why: as for run")
    _json(p)


def _models(p: argparse.ArgumentParser) -> None:
    actions = ("ls", "find", "verify", "pull")
    p.add_argument("action", metavar="ACTION", choices=actions, help="ls, find, verify or pull")
    p.add_argument("words", metavar="NAME", nargs="*", help="models, or sha256:…; pull: OWNER/NAME, and files of it")
    add = p.add_argument
    add("--revision", metavar="NAME", help="pull: a branch, a tag or a commit (default: main)")
    add("--variant", metavar="NAME", help="pull: of the weights, such as fp16")
    add("--small", action="store_true", help="pull: configurations and tokenizers alone")
    add("--yes", action="store_true", help="pull: fetch it without asking")
    _json(p)
    add("--jsonl", action="store_true", help="pull: say as lines of JSON how far it is; a line yes on input agrees")


def _tui(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE", nargs="?", help="a workflow file, or the name of a shipped workflow")
    kinds = ("auto", "half", "sixel", "tgp", "off")
    text = "pictures full screen: auto, half (cells), sixel, tgp (kitty) or off"
    p.add_argument("--images", metavar="HOW", choices=kinds, help=text)


def _engine(p: argparse.ArgumentParser) -> None:
    p.add_argument("--stdio", action="store_true", help="commands on standard input, events on standard output")
    p.add_argument("--lazy", action="store_true", help="load libraries when a node needs them, not at once")


def _convert(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE", help="a pickle: .ckpt, .pt, .pth or .bin")
    p.add_argument("--yes", action="store_true", help="copy its weights to a .safetensors file beside it")


def _import(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "file", metavar="FILE", help="a ComfyUI workflow or prompt, as JSON or in a picture, or A1111's text"
    )
    p.add_argument("--out", metavar="FILE", help="the workflow to make; one that is there is kept")
    p.add_argument("--notes", action="store_true", help="keep the notes of the file in about")
    _json(p)


def _export(p: argparse.ArgumentParser) -> None:
    _file(p)
    p.add_argument("--comfy", action="store_true", help="as a prompt in ComfyUI's API format")
    p.add_argument("--out", metavar="FILE", help="the file to make; one that is there is kept")


def _json(p: argparse.ArgumentParser) -> None:
    p.add_argument("--json", action="store_true", help="print one JSON object")


def _nothing(p: argparse.ArgumentParser) -> None:
    pass


Arguments = Callable[[argparse.ArgumentParser], None]

VERBS: dict[str, tuple[str, str, Arguments]] = {
    "run": ("run", "Run a workflow and print the files it saves; with --help, what it takes", _run),
    "check": ("check", "Report everything that is wrong with a workflow, without running it", _check),
    "plan": ("plan", "Say what a run would do and why, without loading anything", _plan),
    "graph": ("graph", "Draw a workflow", _graph),
    "nodes": ("nodes", "List the node types, or explain one", _nodes),
    "schema": ("schema", "Print a JSON Schema of workflow files, for editors", _nothing),
    "new": ("new", "Make a workflow file from a shipped one, or a package of nodes", _new),
    "import": ("importing.command", "Make a workflow of a ComfyUI file, or of A1111's text", _import),
    "export": ("importing.export_command", "Make a ComfyUI file of a workflow whose nodes have a match there", _export),
    "diff": ("diff", "Compare two workflows, pictures, locks or bundles; exit code 1 if they differ", _diff),
    "lock": ("lock", "Write down all that a workflow depends on, or say what moved since", _lock),
    "reproduce": ("reproduce", "Make a picture again and say how close it came", _reproduce),
    "bundle": ("bundle", "Put a workflow, its lock and its inputs into one file", _bundle),
    "show": ("show", "Say what a picture, lock, bundle or workflow holds", _show),
    "extract": ("extract", "Take the workflow, the lock or the text out of a picture", _extract),
    "strip": ("strip", "Copy a picture without all that it carries", _strip),
    "cache": ("cache", "Look into the cache, bound it, or check it", _cache),
    "models": ("models", "List models, find or check one, or get one from the hub", _models),
    "tui": ("tui.command", "Open the graph runner on the terminal, as a bare weft does", _tui),
    "engine": ("engine", "Run workflows for another process, which speaks JSON lines", _engine),
    "convert": ("convert", "Explain the risk of a pickle; with --yes, copy its weights to safetensors", _convert),
    "doctor": ("doctor", "Check this installation and say what to do", _nothing),
    "errors": ("errors", "List the codes of errors and warnings", _nothing),
}
"""verb -> (its module in commands/, or the full name of one in tui/, what it does, what it takes)."""


if __name__ == "__main__":
    sys.exit(main())
