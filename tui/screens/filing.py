"""What the keys of the main screen do about the file: saving, reloading, the editor, the pictures it made."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from textual.app import SuspendNotSupported

from engine.errors import WeftError
from tui.screens.modals import AskText, Confirm
from tui.screens.panes import Panes

_PLUS = ("vi", "vim", "nvim", "nano", "emacs", "micro", "kak", "joe", "ne", "mg")
_GOTO = ("code", "codium", "cursor")


class Filing(Panes):
    """Part of the main screen."""

    def action_file_open(self) -> None:
        """Ask for a path, and open it."""
        window = AskText("Open", "", "the path of a workflow file, or the name of one that ships")
        self.app.push_screen(window, lambda got: self.weft.open_workflow(got) if got else None)

    def action_file_save(self) -> None:
        """Save."""
        session = self.desk.session
        if session is None:
            return
        if session.path is None:
            self.action_file_save_as()
            return
        if session.on_disk() == "changed":
            self.ask_conflict()
            return
        self.save_to(session.path)

    def action_file_save_as(self) -> None:
        """Ask for a name, and save under it."""
        session = self.desk.session
        if session is not None:
            start = str(session.path) if session.path is not None else session.name
            window = AskText("Save as", start, "a path; an existing file is not overwritten without asking")
            self.app.push_screen(window, self._save_as)

    def _save_as(self, text: str | None) -> None:
        session = self.desk.session
        if not text or session is None:
            return
        path = Path(text).expanduser()
        if path.exists() and path != session.path:
            answers = [("y", "overwrite it")]
            window = Confirm("Save as", f"{path.name} is there already.", answers)

            def take(got: str | None) -> None:
                if got == "y":
                    self.save_to(path)

            self.app.push_screen(window, take)
        else:
            self.save_to(path)

    def save_to(self, path: Path) -> bool:
        """Save under this name; whether that worked."""
        session = self.desk.session
        assert session is not None
        try:
            session.save(path)
        except (WeftError, OSError) as why:
            self.weft.tell_error(why)
            return False
        self.weft.say(f"saved {path.name}")
        if session.bypassed or session.muted:
            self.weft.say("what is bypassed or muted is not: a file has no words for it", "warning")
        self.desk.edited()
        return True

    def action_file_reload(self) -> None:
        """Read the file again; with changes of one's own, ask first."""
        session = self.desk.session
        if session is not None and session.path is not None:
            if session.modified:
                self.ask_conflict()
            else:
                self.take_theirs()

    def ask_conflict(self) -> None:
        """The file and what is open here differ, and both have changed: whose counts?"""
        session = self.desk.session
        if session is None or session.path is None:
            return
        said = f"{session.path.name} has changed on disk, and here are changes that are not saved."

        def take(got: str | None) -> None:
            if got == "k":
                session.keep_mine()
            elif got == "o" and session.path is not None:
                session.keep_mine()
                self.save_to(session.path)
            elif got == "t":
                self.take_theirs()
            elif got == "d":
                self.weft.show_screen("diff", disk=True)

        answers = [("k", "keep mine"), ("o", "keep mine and write it over the file"), ("t", "take what is on disk"),
                   ("d", "see what differs; saving asks again")]  # fmt: skip
        self.app.push_screen(Confirm("Changed on disk", said, answers), take)

    def take_theirs(self) -> None:
        """Take what the file holds."""
        session = self.desk.session
        assert session is not None
        try:
            if session.reload():
                self.weft.say(f"reloaded {session.name}")
        except WeftError as why:
            self.weft.tell_error(why)
        self.desk.edited()

    def action_file_edit(self) -> None:
        """Open the file in $EDITOR, and read it again afterwards."""
        session = self.desk.session
        if session is None:
            return
        if session.path is None:
            self.weft.say("the editor needs a file: save it first", "warning")
            self.action_file_save_as()
        elif session.modified:
            answers = [("s", "save, and open the editor")]
            said = "Here are changes that are not saved."
            self.app.push_screen(Confirm("Editor", said, answers), lambda got: self._edit(save=True) if got else None)
        else:
            self._edit()

    def _edit(self, *, save: bool = False) -> None:
        session = self.desk.session
        if session is None or session.path is None or (save and not self.save_to(session.path)):
            return
        line = 1
        if session.errors:
            line = max(session.errors[0].place.line, 1)
        elif self.graph.selected:
            line = session.line_of(self.graph.selected) or 1
        words = editor_command(session.path, line)
        if words is None:
            self.weft.say("no editor was found: set $EDITOR", "warning")
            return
        try:
            # Textual takes NO_COLOR out of the environment; the editor is to see it.
            env = {**os.environ, "NO_COLOR": "1"} if self.app.no_color else None
            with self.app.suspend():
                subprocess.run(words, check=False, env=env)
        except SuspendNotSupported:
            self.weft.say("this terminal cannot be lent to an editor", "warning")
        except OSError as why:
            self.weft.say(f"{words[0]} does not start: {why.strerror}", "error")
        self.app.refresh()
        self.take_theirs()

    def action_image_open(self) -> None:
        """The latest picture full screen."""
        self.weft.show_screen("image")

    def action_image_viewer(self) -> None:
        """The latest picture in the system's viewer."""
        self.weft.open_outside(self.weft.pictures()[-1])


def editor_command(path: Path, line: int) -> list[str] | None:
    """The command that opens a file at a line in the person's editor; None where there is none."""
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not chosen:
        usual = ("notepad",) if sys.platform == "win32" else ("nano", "vim", "vi")
        chosen = next((name for name in usual if shutil.which(name)), None)
    if not chosen:
        return None
    words = shlex.split(chosen)
    name = Path(words[0]).stem.lower()
    if name in _PLUS:
        return [*words, f"+{line}", str(path)]
    if name in _GOTO:
        return [*words, "--wait", "--goto", f"{path}:{line}"]
    return [*words, str(path)]
