"""What a running node sees of the engine: progress, cancelling, warnings, folders. Never the executor itself."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from engine.errors import Cancelled, Place, Problem, RunError
from engine.events import Listener, NodeProgress, NodeSaid, Warned
from engine.machine import Machine

if TYPE_CHECKING:
    from engine.share.book import Page

T = TypeVar("T")


class CancelToken:
    """Set from anywhere (a signal handler, another thread); nodes look at it between steps.

    It has no lock: a second signal may come while a handler sets it, and would wait for that handler for ever.
    """

    __slots__ = ("_cancelled",)

    def __init__(self) -> None:
        self._cancelled = False

    def cancel(self) -> None:
        """Ask the run to stop within one step."""
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked."""
        return self._cancelled


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is made. Nothing here changes a result but `numerics`, which is in the keys.

    numerics: names device type, library version and dtype; the caller knows them, the engine does not.
    folder, allowed: where the files that nodes read may lie (the workflow's folder, and others the user named).
    """

    device: str = "cpu"
    dtype: str = "float32"
    numerics: str = ""
    out: Path = Path("out")
    folder: Path = Path()
    allowed: tuple[Path, ...] = ()
    keep_going: bool = False
    use_cache: bool = True
    batch: int = 8
    previews_per_second: float = 0.0
    vram: int = 0
    """Bytes of weights that may stay on the device; 0 for what it has room for."""
    offload: str = "none"
    """Where models wait: none (on the device), model (only those at work are there), group (layer by layer)."""
    attention: str = "auto"
    """The kernel that computes attention, where it is not the library's choice; it is in the numerics too."""
    speed: str = "none"
    """How networks are prepared before they run (none, compile, graphs, compile-graphs); in the numerics too."""
    metadata: bool = True
    """Whether pictures carry the workflow that made them and its lock, and a lock is written beside what is saved."""
    strict: bool = False
    """Whether the same machine and lock must give the same bits; see docs/sharing.md."""
    machine: Machine = field(default_factory=Machine)
    open_paths: frozenset[tuple[str, str]] = frozenset()
    """(node, input) whose path was given on the command line, and may lie anywhere."""


@dataclass(slots=True)
class Context:
    """Passed to `Node.run`."""

    node: str = ""
    variant: int = 0
    settings: Settings = field(default_factory=Settings)
    values: Mapping[str, object] = field(default_factory=dict)
    """The params of this variant by name, for file name templates."""
    emit: Listener = lambda event: None
    token: CancelToken = field(default_factory=CancelToken)
    scratch_of: Callable[[], Path] | None = None
    seconds_of: Callable[[str], float] = lambda name: 0.0
    page: "Page | None" = None
    """What a lock says of this node and of what is above it; None for a node that runs by itself."""
    hand: Callable[[Callable[[], Any]], Any] = lambda work: work()
    """Has work done in the thread of the run; see `in_front`."""
    _next_preview: float = 0.0

    @property
    def device(self) -> str:
        """The device to compute on, such as "cpu" or "cuda:0"."""
        return self.settings.device

    @property
    def dtype(self) -> str:
        """The dtype that "auto" stands for in this run, such as "float32"."""
        return self.settings.dtype

    @property
    def scratch(self) -> Path:
        """A folder that stays with this node's key until its result is stored: for checkpoints to resume from."""
        if self.scratch_of is None:
            import tempfile

            folder = Path(tempfile.mkdtemp(prefix="weft-"))
            self.scratch_of = lambda: folder
        return self.scratch_of()

    def progress(self, step: int, total: int, message: str = "", preview: bytes = b"") -> None:
        """Say that `step` of `total` is done. Raises Cancelled if the run is to stop."""
        if self.token.cancelled:
            raise Cancelled
        self.emit(NodeProgress(self.node, self.variant, step, total, message, preview))

    def wants_preview(self) -> bool:
        """True a few times a second while somebody looks at previews; then it is worth making one."""
        rate = self.settings.previews_per_second
        now = time.monotonic()
        if not rate or now < self._next_preview:
            return False
        self._next_preview = now + 1 / rate
        return True

    def say(self, text: str) -> None:
        """Show a text that the node made of its inputs."""
        self.emit(NodeSaid(self.node, self.variant, text))

    def warn(self, code: str, what: str, hint: str = "", input: str = "") -> None:
        """Tell the person something that stops nothing."""
        self.emit(Warned(Problem(code, what, hint, Place(node=self.node, input=input))))

    @property
    def document(self) -> Mapping[str, object]:
        """The workflow with every param and seed as it runs, without the folders of this machine."""
        return self.page.document() if self.page is not None else {}

    def fell_back(self, what: str, hint: str = "") -> None:
        """Say that this node does other than it was asked to, which changes bits. A lock records it; in a strict run
        it is an error."""
        if self.settings.strict:
            raise RunError(Problem("E-STRICT", what, hint, Place(node=self.node), exit_code=1))
        if self.page is not None:
            self.page.fell_back(what)

    def in_front(self, work: Callable[[], T]) -> T:
        """What `work` returns, done in the thread of the run: for what asks the page, also by a node that is aside."""
        return cast(T, self.hand(work))

    def seconds(self, input: str) -> float:
        """How long it took, when it was computed, to make the value that feeds this input."""
        return self.seconds_of(input)
