"""What the keys of the main screen do about finding and copying."""

import json
import shlex

from tui.desk import problem_line
from tui.fields import params_of
from tui.screens.modals import Choose
from tui.screens.panes import Panes
from tui.seeds import seeds_of
from tui.session import Session


class Finding(Panes):
    """Part of the main screen."""

    def action_find_open(self) -> None:
        """Find a node by its id, type, inputs or values."""
        session = self.desk.session
        if session is None:
            return
        options = []
        for node in self.graph.order:
            raw = session.nodes[node]
            values = {k: v for k, v in raw.items() if k != "type"} if isinstance(raw, dict) else {}
            told = "  ".join(f"{name} {value}" for name, value in values.items())
            options.append((node, node, f"{self.desk.board.types.get(node, '')}  {told}"))
        window = Choose("Find", options, self.graph.selected)

        def take(got: str | None) -> None:
            if got is not None:
                self.graph.found = frozenset(window.narrowed)
                self.graph.select(got)
                self.selected()

        self.app.push_screen(window, take)

    def _find(self, step: int) -> None:
        found = [node for node in self.graph.order if node in self.graph.found]
        if not found:
            return
        order = list(self.graph.order)
        at = order.index(self.graph.selected) if self.graph.selected in order else 0
        turned = [order[(at + step * n) % len(order)] for n in range(1, len(order) + 1)]
        self.graph.select(next(node for node in turned if node in self.graph.found))
        self.selected()

    def action_find_next(self) -> None:
        """The next one found."""
        self._find(1)

    def action_find_previous(self) -> None:
        """The one found before."""
        self._find(-1)

    def action_error_traceback(self) -> None:
        """Unfold the traceback, or fold it."""
        self.params.unfolded = not self.params.unfolded
        self._show_params()
        if self.pane == "graph" and self.has_class("-single"):
            self.action_pane_params()

    def action_copy_menu(self) -> None:
        """Choose what to copy."""
        session, node = self.desk.session, self.graph.selected
        if session is None:
            return
        texts = {"command": command_line(session, self.desk.config.out), "workflow": session.text}
        for field in seeds_of(session):
            texts[f"seed {field.key}"] = str(field.value)
        problems = self.desk.board.problems_at(node)
        if problems:
            texts[f"problems of {node}"] = "\n".join(problem_line(problem) for problem in problems)
        if traceback := self.desk.board.traceback_at(node):
            texts[f"traceback of {node}"] = traceback
        raw = session.nodes.get(node)
        if raw is not None:
            texts[f"node {node}"] = json.dumps({node: raw}, ensure_ascii=False)
            for name, value in raw.items() if isinstance(raw, dict) else ():
                if isinstance(value, str) and name not in ("type", "about") and not value.startswith(("@", "$")):
                    texts[f"{node}.{name}"] = value
        for field in params_of(session):
            if isinstance(field.value, str):
                texts[f"${field.name}"] = field.value
        paths = [str(output["path"]) for run in self.desk.runs.values() for output in run.outputs]
        texts |= {f"path {path}": path for path in reversed(paths[-3:])}
        if session.path is not None:
            texts["workflow file"] = str(session.path)

        def take(got: str | None) -> None:
            if got is not None:
                self.app.copy_to_clipboard(texts[got])
                self.weft.say(f"copied: {got}")

        self.app.push_screen(Choose("Copy", [(name, name, text) for name, text in texts.items()]), take)


def command_line(session: Session, out: str) -> str:
    """The command that runs the workflow as it is open here; for an unsaved one, without what is not saved."""
    words = ["weft", "run", str(session.path) if session.path is not None else session.name.removesuffix(".json")]
    if out != "out":
        words += ["--out", out]
    return shlex.join(words)
