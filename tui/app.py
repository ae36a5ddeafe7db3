"""The app: one desk, the screens over it, and what every screen may ask for."""

import asyncio
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.worker import Worker, WorkerState

from engine.errors import WeftError
from engine.registry import Registry
from tui import config as settings
from tui import keys, look
from tui.client import Client
from tui.config import Config
from tui.desk import Changed, Desk, words_of
from tui.history import History, state_root
from tui.keytable import TABLES
from tui.screens import SCREENS, make
from tui.screens.base import WeftScreen
from tui.screens.modals import Confirm, Tell
from tui.screens.palette import open_palette
from tui.session import Session
from tui.typeahead import InOrder

if TYPE_CHECKING:
    from tui.screens.main import MainScreen

WATCH_EVERY = 0.5
"""Seconds between two looks at whether the file has changed."""
TICK = 0.5
"""Seconds between two updates of what only time changes: the time left, how long the engine has been starting."""


class WeftApp(InOrder[int], inherit_bindings=False):
    """See the module. file: what to open; nothing: the start screen."""

    TITLE = "weft"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    WeftScreen { background: $background; }
    Toast { max-width: 80; }
    """
    BINDINGS: ClassVar[list[Any]] = []

    def __init__(
        self,
        file: str = "",
        *,
        registry: Callable[[], Registry],
        config: Config | None = None,
        history: Callable[[], History] = History,
        client: Callable[[Callable[[list[Mapping[str, Any]]], None]], Client] = Client,
        clock: Callable[[], float] = time.monotonic,
        settle: Callable[[], object] | None = None,
        images: str = "",
        pixels: str = "half",
    ) -> None:
        """settle: called when a workflow is open and on the screen (`tui.garbage`).

        images: how to draw pictures, in place of what the settings say. pixels: what the terminal can (`tui.pixels`).
        """
        super().__init__()
        self._images, self._pixels = images, pixels
        self._settle = settle
        self.config = config if config is not None else settings.load()
        self._file = file
        self._conflict_told = False
        self._pull_told = "none"
        changed: Changed = self.desk_changed
        self.desk = Desk(registry, self.config, history, changed, client, clock)

    # Beginning and ending

    def on_mount(self) -> None:
        """Show the first screen at once; everything that takes a moment follows in the background."""
        look.use(self, self.config.theme)
        self.set_keymap(dict(self.keymap_shown))
        self.push_screen(make("main"))
        if self._file:
            self.open_workflow(self._file)
        else:
            self.push_screen(make("start"))
        self.desk.client.start()
        for problem in self.config_problems:
            self.say(problem, "warning")
        self.set_interval(WATCH_EVERY, self._watch)
        self.set_interval(TICK, self._tick)

    @property
    def config_problems(self) -> list[str]:
        """What is wrong with the settings."""
        return [*self.config.problems, *keys.problems(TABLES, self.config.keys)]

    @property
    def keymap_shown(self) -> Mapping[str, str]:
        """The person's own keys, by the id of the action."""
        return {} if self.config_problems else self.config.keys

    @property
    def images(self) -> str:
        """How pictures are drawn full screen: half, sixel, tgp or off. Elsewhere: in half cells, or not at all."""
        wanted = self._images or self.config.images
        return wanted if wanted in ("half", "off") else self._pixels

    async def on_unmount(self) -> None:
        """End the engine."""
        await self.desk.close()

    def _handle_exception(self, error: Exception) -> None:
        """A mistake in weft: its traceback goes to a file, and the terminal gets one line."""
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        where = _write_down(error)
        self._exit_renderables = [f"E-RUN: weft itself failed: {type(error).__name__}; please report it; {where}"]
        self._close_messages_no_wait()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A mistake in weft, in the background: it is told and written down, and the app goes on."""
        why = event.worker.error
        if event.state is WorkerState.ERROR and isinstance(why, Exception):
            self.say(f"E-RUN: weft itself failed: {type(why).__name__}; please report it; {_write_down(why)}", "error")

    # What is new

    def desk_changed(self, what: frozenset[str]) -> None:
        """The desk has something new: the screen on top shows it, others when they come up again."""
        if "pull" in what:
            self._tell_pull()
        for screen in reversed(self.screen_stack if self.is_running else []):
            if isinstance(screen, WeftScreen):
                if screen.is_mounted:
                    screen.desk_changed(what)
                break

    def _tell_pull(self) -> None:
        """Of a model that is fetched: that it is here or will not be, and that it is to be agreed to on its screen."""
        puller = self.desk.puller
        if puller.status != self._pull_told:
            self._pull_told = puller.status
            if puller.status == "offered" and not _is(self.screen, "models"):
                self.say(f"{puller.told}; M asks")
            elif puller.status in ("done", "failed"):
                self.say(puller.told, "information" if puller.status == "done" else "error")

    def _tick(self) -> None:
        if self.desk.queue.current is not None or self.desk.client.status in ("starting", "importing"):
            self.desk_changed(frozenset({"tick"}))

    async def _watch(self) -> None:
        session = self.desk.session
        if session is None or session.path is None:
            return
        state = await asyncio.to_thread(session.on_disk)
        if session is not self.desk.session:
            return
        if state != "changed":
            self._conflict_told = False
        elif not session.modified:
            self._reload(session)
        elif not self._conflict_told:
            self._conflict_told = True
            main = self._main()
            if main is not None and main is self.screen:
                main.ask_conflict()
            else:
                self.say(f"{session.name} has changed on disk", "warning")

    def _reload(self, session: Session) -> None:
        try:
            if session.reload():
                self.say(f"reloaded {session.name}: it changed on disk")
        except WeftError:
            # An editor may be in the middle of writing; what stays wrong is seen at the next look.
            session.keep_mine()
            return
        self.desk.edited()

    # What screens ask for

    def say(self, text: str, severity: str = "information") -> None:
        """A short note in the corner. severity: information, warning or error."""
        self.notify(look.safe(text, 400), severity=severity, markup=False, timeout=4)  # type: ignore[arg-type]

    def tell_error(self, why: Exception) -> None:
        """What went wrong, in a window where there is much to say."""
        problems = why.problems if isinstance(why, WeftError) else ()
        if len(problems) > 1 or any(p.excerpt for p in problems):
            count = f"{len(problems)} problems" if len(problems) > 1 else "A problem"
            self.push_screen(Tell(count, "\n".join(map(str, problems))))
        else:
            self.say(words_of(why), "error")

    def show_screen(self, name: str, **given: Any) -> None:
        """Open a screen over this one; the same one is not opened twice."""
        top = self.screen
        if not (isinstance(top, WeftScreen) and name == top.NAME) and name in SCREENS:
            if name == "main":
                while self.screen_stack[-1].id != "_default" and not _is(self.screen, "main"):
                    self.pop_screen()
            else:
                self.push_screen(make(name, **given))

    def action_app_keys(self) -> None:
        """The keys of the screen on top."""
        if isinstance(self.screen, WeftScreen):
            self.show_screen("keys", of=self.screen.NAME)

    def back(self) -> None:
        """Close the screen on top, but for the main one."""
        if not _is(self.screen, "main"):
            self.pop_screen()

    def of_screen(self, name: str, action: keys.Action) -> bool:
        """Whether an action of that screen can ever be done."""
        screen = next((s for s in self.screen_stack if isinstance(s, WeftScreen) and name == s.NAME), None)
        return screen is None or screen.can(action)

    def open_workflow(self, name: str) -> None:
        """Open a workflow by path or name, once what is not saved was dealt with."""
        session = self.desk.session
        if session is not None and session.modified:
            self._leaving("Open another", lambda: self._open(name))
        else:
            self._open(name)

    def open_session(self, session: Session) -> None:
        """Work on this workflow from now on, once what is not saved was dealt with."""
        now = self.desk.session
        if now is not None and now.modified:
            self._leaving("Open another", lambda: self.take(session))
        else:
            self.take(session)

    @work(thread=True, exclusive=True, group="open", exit_on_error=False)
    def _open(self, name: str) -> None:
        try:
            session = self.desk.load(os.path.expanduser(name))
        except (WeftError, OSError) as why:
            self.call_from_thread(self._not_opened, why)
            return
        self.call_from_thread(self.take, session)

    def take(self, session: Session) -> None:
        """Work on this workflow from now on."""
        self._conflict_told = False
        self.desk.take(session)
        self.show_screen("main")
        self.desk_changed(frozenset({"session", "board", "run"}))
        if self._settle is not None:
            self.call_after_refresh(self._settle)
        if session.errors:
            self.go_to(session.errors[0].place.node)
        if session.document is None:
            self.tell_error(WeftError(session.errors))

    def go_to(self, node: str) -> None:
        """Select a node on the main screen."""
        main = self._main()
        if main is not None:
            main.go_to(node)

    def compare_again(self, sweep: Mapping[str, Sequence[Any]]) -> None:
        """Ask for values of the axes of a comparison, its own to begin with."""
        main = self._main()
        if main is not None:
            main.compare_over(sweep)

    def _main(self) -> "MainScreen | None":
        from tui.screens.main import MainScreen

        return next((screen for screen in self.screen_stack if isinstance(screen, MainScreen)), None)

    def _not_opened(self, why: Exception) -> None:
        self.tell_error(why)
        if self.desk.session is None and not _is(self.screen, "start"):
            self.show_screen("start")

    def _leaving(self, title: str, then: Callable[[], object]) -> None:
        session = self.desk.session
        assert session is not None

        def take(got: str | None) -> None:
            if got == "s" and session.path is not None:
                try:
                    session.save()
                except (WeftError, OSError) as why:
                    self.tell_error(why)
                    return
            if got in ("s", "d"):
                then()

        answers = [("s", "save them")] if session.path is not None else []
        self.push_screen(Confirm(title, f"{look.safe(session.name)} has changes that are not saved.",
                                 [*answers, ("d", "drop them")]), take)  # fmt: skip

    def action_app_quit(self) -> None:
        """Leave, once what is not saved was dealt with."""
        session = self.desk.session
        if session is not None and session.modified:
            self._leaving("Quit", lambda: self.exit(0))
        else:
            self.exit(0)

    def action_app_palette(self) -> None:
        """Everything that can be done on the screen on top, by name; typing narrows it."""
        if isinstance(self.screen, WeftScreen):
            open_palette(self, self.screen)

    def action_app_interrupt(self) -> None:
        """What a person means by Ctrl-C is not clear enough to be done."""
        self.say("x stops the run, ctrl+q leaves weft")

    def action_app_theme(self) -> None:
        """The next theme."""
        self._set_next("theme")

    def action_app_images(self) -> None:
        """The next way to draw pictures full screen."""
        self._set_next("images")

    def _set_next(self, name: str) -> None:
        try:
            self.configure(self.config.next(name))
        except (WeftError, OSError) as why:
            self.tell_error(why)
        self.say(f"{name}: {getattr(self.config, name)}")

    def pictures(self) -> list[str]:
        """The pictures saved since the start, oldest first."""
        outputs = [output for run in self.desk.runs.values() for output in run.outputs]
        found = [str(o["path"]) for o in outputs if str(o.get("mime", "")).startswith("image/")]
        return list(dict.fromkeys(found))

    @work(thread=True, group="outside", exit_on_error=False)
    def open_outside(self, path: str) -> None:
        """Open a file in the system's own program for it."""
        target = str(Path(path).resolve())
        try:
            if sys.platform == "win32":
                os.startfile(target)
            else:
                program = "open" if sys.platform == "darwin" else "xdg-open"
                quiet = subprocess.DEVNULL
                subprocess.run([program, target], stdin=quiet, stdout=quiet, stderr=quiet, check=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            self.call_from_thread(self.say, f"no program opens it; the file is {target}", "warning")

    def configure(self, config: Config) -> None:
        """Take new settings and write them down. Raises what prevents writing."""
        self.config = replace(config, problems=())
        self.desk.config = self.config
        self.desk.seed_mode = self.config.seed  # type: ignore[assignment]
        look.use(self, self.config.theme)
        self.set_keymap(dict(self.keymap_shown))
        self.desk.edited()
        settings.save(self.config)


def _write_down(error: BaseException) -> str:
    """Keep the traceback in a file; says where."""
    try:
        path = state_root() / "crash.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return "--debug shows more"
    return f"details in {path}"


def _is(screen: object, name: str) -> bool:
    return isinstance(screen, WeftScreen) and name == screen.NAME
