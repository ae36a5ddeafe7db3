"""The models: what the open workflow reads, found or missing and how to get it; and what this machine has."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual import work
from textual.widget import Widget
from textual.widgets import Static

from engine.text import size
from tui import look
from tui.needs import Need, needs
from tui.screens.fetching import Fetching
from tui.screens.lists import Rows
from tui.screens.modals import AskText, Choose

if TYPE_CHECKING:
    from nodes.library import Found

HEADS = {
    "shipped": "ships with weft",
    "hub": "in the hub's cache",
    "placed": "in the folders of weft.toml",
    "beside": "beside the workflow",
}
FILES = 8
"""Files of a model that are listed."""


class ModelsScreen(Fetching):
    """See the module. node: select what it lacks; missing: the first one that is missing; fetch: and fetch that."""

    NAME = "models"
    HEAD = "Models"
    SHOWS = frozenset({"models"})
    DEFAULT_CSS = """
    ModelsScreen #about { height: auto; max-height: 50%; min-height: 3; background: $surface; padding: 0 1; }
    """

    def __init__(self, node: str = "", *, missing: bool = False, fetch: bool = False) -> None:
        super().__init__()
        self._wish = (node, fetch) if node or missing else None
        self._words = ""
        self._needs: list[Need] = []
        self._found: list[Found] = []
        self._digests: dict[Path, str] = {}
        self._told = "looking…"
        self._version = -1

    def body(self) -> Iterable[Widget]:
        """The models, and what is known of the selected one."""
        yield Rows(compact=True)
        yield Static(id="pull")
        yield Static(id="about")

    def on_mount(self) -> None:
        """Look for everything."""
        self._look()

    def _look(self) -> None:
        session = self.desk.session
        version = session.version if session is not None else 0
        if version != self._version:
            self._version = version
            self._gather()

    @work(thread=True, exclusive=True, group="models", exit_on_error=False)
    def _gather(self) -> None:
        from nodes.library import digest_in_name, on_this_machine

        session = self.desk.session
        needed = needs(session.workflow) if session is not None and session.workflow is not None else []
        found = list(on_this_machine(session.folder if session is not None else Path.cwd()))
        known = {file: digest for model in found for file in model.files if (digest := digest_in_name(file))}
        self.app.call_from_thread(self._take, needed, found, known)

    def _take(self, needed: list[Need], found: "list[Found]", known: dict[Path, str]) -> None:
        self._needs, self._found, self._told = needed, found, ""
        self._digests = {**known, **self._digests}
        self.desk_changed(frozenset({"models"}))
        self._grant()

    def _grant(self) -> None:
        """Select, and fetch, what this screen was opened for."""
        if self._wish is not None:
            node, fetch = self._wish
            self._wish = None
            lacks = [i for i, n in enumerate(self._needs) if n.problem is not None and node in ("", n.node)]
            if lacks and (row := f"need {lacks[0]}") in self._ids:
                self.query_one(Rows).highlighted = self._ids.index(row)
                if fetch:
                    self.action_model_fetch()

    def desk_changed(self, what: frozenset[str]) -> None:
        """A value may name another model now."""
        if "session" in what and self._version >= 0:
            self._look()
        if "pull" in what and self.puller.status == "done":
            self._gather()
        super().desk_changed(what)

    def entries(self) -> Sequence[tuple[str, Text]]:
        """What is needed, then what is there."""
        app, session = self.app, self.desk.session
        dim, plain = look.style(app, "dim"), look.style(app, "text")
        if self._told:
            return [("", Text(self._told, dim))]
        rows: list[tuple[str, Text]] = []
        if self._words:
            rows.append(("", Text(f"with {look.safe(self._words)}", look.style(app, "accent"))))
        if session is not None:
            rows.append(("", Text(f"what {look.safe(session.name, 40)} reads", dim)))
            broken = session.workflow is None
            if not self._needs:
                rows.append(("", Text("  its errors come first" if broken else "  no model and no file", dim)))
        for i, need in enumerate(self._needs):
            missing = need.problem is not None
            glyph, role = ("⇩", "missing model") if missing else ("✓", "done")
            said = need.problem.what if need.problem else _weight(need.files)
            if self._wanted(need.source, need.key, said):
                rows.append((f"need {i}", Text.assemble(
                    (f"  {glyph} ", look.style(app, role)), (f"{look.safe(need.source, 44):<44} ", plain),
                    (f"{look.safe(need.key, 30):<30} ", dim), (look.safe(said, 160), dim), no_wrap=True)))  # fmt: skip
        for where, head in HEADS.items():
            models = [(i, m) for i, m in enumerate(self._found) if m.where == where]
            rows += [("", Text()), ("", Text(head if models else f"{head}: nothing", dim))]
            for i, model in models:
                glyph, role = ("✗", "failed") if model.wrong else ("✓", "done")
                said = ". ".join(filter(None, (model.what, model.wrong)))
                if self._wanted(model.source, said):
                    rows.append((f"have {i}", Text.assemble(
                        (f"  {glyph} ", look.style(app, role)), (f"{look.safe(model.source, 44):<44} ", plain),
                        (f"{size(model.bytes):>10}  ", dim), (look.safe(said, 160), dim), no_wrap=True)))  # fmt: skip
        return rows

    def _wanted(self, *texts: str) -> bool:
        text = " ".join(texts).lower()
        return all(word in text for word in self._words.lower().split())

    @property
    def need(self) -> Need | None:
        """The selected need."""
        kind, _, at = self.chosen.partition(" ")
        return self._needs[int(at)] if kind == "need" else None

    @property
    def model(self) -> "Found | None":
        """The selected model."""
        kind, _, at = self.chosen.partition(" ")
        return self._found[int(at)] if kind == "have" else None

    def _files(self) -> Sequence[Path]:
        chosen = self.need or self.model
        return chosen.files if chosen is not None else ()

    def refresh_keys(self) -> None:
        """With another row goes another description."""
        super().refresh_keys()
        if not self.is_mounted or not self.query("#about"):
            return
        need, model, text = self.need, self.model, Text()
        dim, plain = look.style(self.app, "dim"), look.style(self.app, "text")
        if need is not None and need.problem is not None:
            text.append(f"⇩ {look.safe(need.problem.what, 300)}\n", look.style(self.app, "missing model"))
            text.append(look.safe(need.problem.hint, 300) + ("; f does it" if need.pull else ""), plain)
        if model is not None:
            text.append(f"{look.safe(str(model.path), 200)}\n", plain)
            if model.wrong:
                text.append(f"✗ {look.safe(model.wrong, 300)}\n", look.style(self.app, "failed"))
        files = self._files()
        for file in files[:FILES]:
            digest = self._digests.get(file, "d: its digest")
            text.append(f"{look.safe(file.name, 44):<44} {_weight([file]):>10}  ", plain)
            text.append(f"{digest}\n", dim)
        if len(files) > FILES:
            text.append(f"and {len(files) - FILES} more", dim)
        self.query_one("#about", Static).update(text)

    def action_models_find(self) -> None:
        """Ask for words."""

        def take(words: str | None) -> None:
            if words is not None:
                self._words = words
                self.fill()

        self.app.push_screen(AskText("Filter", self._words, "words of a model's name, kind or place"), take)

    def action_models_use(self) -> None:
        """From a need to its node; a model becomes the source of one of the workflow's inputs."""
        need, model, session = self.need, self.model, self.desk.session
        if need is not None:
            self.weft.show_screen("main")
            self.weft.go_to(need.node)
        elif model is not None and session is not None:
            options = [(n.key, n.key, f"now {n.source}") for n in self._needs]
            if not options:
                self.weft.say("the workflow has no input that names a model; a on the graph adds one", "warning")
                return
            self.app.push_screen(Choose(f"What reads {model.source}?", options), lambda key: self._use(model, key))

    def _use(self, model: "Found", key: str | None) -> None:
        session, need = self.desk.session, next((n for n in self._needs if n.key == key), None)
        if session is None or need is None:
            return
        raw = session.nodes[need.node].get(need.input)
        named = raw[1:] if isinstance(raw, str) and raw.startswith("$") and not raw.startswith("$$") else ""
        session.set_values({named or need.key: model.source}, f"{need.key} = {model.source}")
        self.desk.edited()
        self.weft.say(f"{need.key} reads {model.source}; u on the graph takes it back")
        self._look()

    def on_option_list_option_selected(self) -> None:
        """The one that was clicked."""
        self.action_models_use()

    def action_models_copy(self) -> None:
        """Copy the command that fetches it, or the path."""
        need, model = self.need, self.model
        text = need.command or need.source if need is not None else str(model.path) if model is not None else ""
        if text:
            self.app.copy_to_clipboard(text)
            self.weft.say(f"copied {text}")

    def action_models_digest(self) -> None:
        """Compute the digests of its files."""
        wanted = [file for file in self._files() if file not in self._digests]
        if wanted:
            self.weft.say("reading " + ", ".join(file.name for file in wanted[:3]))
            self._digest(wanted)

    @work(thread=True, exclusive=True, group="digest", exit_on_error=False)
    def _digest(self, files: list[Path]) -> None:
        from engine.cache import Cache, default_root

        cache = Cache(default_root())
        try:
            for file in files:
                try:
                    digest = cache.sha256(file)
                except OSError as why:
                    digest = why.strerror or "cannot be read"
                self.app.call_from_thread(self._know, file, digest)
        finally:
            cache.close()

    def _know(self, file: Path, digest: str) -> None:
        self._digests[file] = digest
        if self.is_mounted:
            self.refresh_keys()


def _weight(files: Sequence[Path]) -> str:
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except OSError:
            return "gone"
    return size(total)
