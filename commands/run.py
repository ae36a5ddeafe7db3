"""weft run: make what a workflow saves, showing progress, and say where it is."""

import argparse
import contextlib
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from commands.common import known_nodes, print_json, say
from commands.inputs import Job, prepare
from commands.progress import Display, display
from commands.report import Report, print_paths, shown
from commands.subjects import unpacked
from engine.api import graph_id
from engine.cache import Cache, default_root
from engine.context import CancelToken
from engine.errors import Problem, error
from engine.events import Event, Listener, Warned
from engine.executor import Executor, Outcome

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Run FILE; returns the exit code."""
    with unpacked(args.file) as folder:
        return _run(args, prepare(args, known_nodes(registry), folder))


def _run(args: argparse.Namespace, job: Job) -> int:
    if args.grid and len(job.variants) < 2:
        raise error(Problem("E-CLI", "--grid draws the variants of a sweep, and there is none", "add --sweep name=a,b"))
    report, token = Report(), CancelToken()
    show = display(args.quiet)
    listeners: list[Listener] = [report, show]
    if args.jsonl:
        listeners.append(_print_event)
    elif not args.json:
        listeners.append(print_paths)

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    with show, _interrupts(token, show):
        for warning in job.workflow.warnings:
            emit(Warned(warning))
        outcome = _execute(args, job, emit, token)
        if args.grid and (outcome.status == "done" or (args.keep_going and report.first_pictures())):
            from commands.grid import save_grid

            report.outputs.append(save_grid(job, report.first_pictures(), emit))
            if not (args.json or args.jsonl):
                print(report.outputs[-1]["path"], flush=True)
    if args.debug:
        print("".join(report.traces), file=sys.stderr, end="")
    say(outcome.problems)
    if args.json:
        print_json({**report.to_json(), "locks": [str(path) for _, path in sorted(outcome.locks.items())]})
    elif not args.jsonl:
        _print_values(outcome)
    if outcome.status == "cancelled":
        return 130
    return error(outcome.problems).exit_code if outcome.problems else 0


def _execute(args: argparse.Namespace, job: Job, emit: Listener, token: CancelToken) -> Outcome:
    cache = Cache(default_root())
    gc.enable()
    try:
        executor = Executor(job.graphs, cache, job.settings, emit=emit, token=token, graph_id=graph_id(job.workflow))
        return executor.run()
    finally:
        cache.close()


def _print_values(outcome: Outcome) -> None:
    """Targets that save nothing but are plain values are printed."""
    for (_, _), values in sorted(outcome.values.items(), key=lambda item: item[0][0]):
        for value in values.values():
            if isinstance(value, bool | int | float | str):
                sys.stdout.write("".join(f"{line}\n" for line in shown(str(value))))


def _print_event(event: Event) -> None:
    sys.stdout.write(json.dumps(event.to_json()) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _interrupts(token: CancelToken, show: Display) -> Iterator[None]:
    """The first Ctrl-C stops the run within a step and keeps what is done; the second ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        if token.cancelled:
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h\n")
            os._exit(130)
        token.cancel()
        show.stopping()

    before: Callable[..., object] | int | None = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        # after the first, the process is on its way out, and a second must not meet Python's own handler there
        if not token.cancelled:
            signal.signal(signal.SIGINT, before)
