"""Variants of a sweep that run as one: as many as there is room for, and in halves where that fails."""

import time
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any

from engine.context import Context
from engine.endings import Endings
from engine.errors import Cancelled, Place, Problem
from engine.events import Warned
from engine.failure import Explain, problems_of
from engine.node import Node
from engine.outcome import Recorder
from engine.plan import Plan, Task
from engine.share.book import Book

Ready = tuple[Task, Node, Context]
"""A task whose inputs are there: its node, made of them, and what that sees of the run."""


class Together:
    """Runs groups of nodes that may be one batch.

    in_front: does work in the thread of the run. A batch that failed is halved until it works or is one node, so only
    the guilty one fails; after one that did not fit into memory, later groups of that node begin with its halves.
    """

    def __init__(
        self,
        record: Recorder,
        book: Book,
        ends: Endings,
        explain: Explain,
        in_front: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._record, self._book, self._ends = record, book, ends
        self._explain, self._in_front = explain, in_front
        self._most: dict[str, int] = {}
        self._asked: dict[Hashable, tuple[int, int]] = {}
        """Of a batch key: for how many nodes there was to be room, and for how many there was."""

    def run(self, plan: Plan, key: Hashable, group: Sequence[Ready]) -> None:
        """Run the tasks of a group, and say what became of each. key: their common batch key."""
        most = self._room(key, group)
        parts = -(-len(group) // most)
        # as even as can be
        cuts = [len(group) * i // parts for i in range(parts + 1)]
        for start, end in pairwise(cuts):
            for task, _, _ in group[start:end]:
                self._record.started(task)
            self._run(plan, group[start:end])

    def _room(self, key: Hashable, group: Sequence[Ready]) -> int:
        if len(group) == 1:
            return 1
        asked, room = self._asked.get(key, (0, 0))
        if asked < len(group):
            room = self._ask(group)
            self._asked[key] = len(group), room
        return max(1, min(room, self._most.get(group[0][0].node.id, room)))

    def _ask(self, group: Sequence[Ready]) -> int:
        nodes, contexts = [node for _, node, _ in group], [context for _, _, context in group]
        try:
            room: int = self._in_front(lambda: type(nodes[0]).room(nodes, contexts))
        except (Cancelled, KeyboardInterrupt):
            raise
        except Exception:
            return len(group)  # what is wrong is wrong in the run as well, which tells of it
        return room

    def _run(self, plan: Plan, part: Sequence[Ready]) -> None:
        if len(part) == 1:
            self._alone(plan, *part[0])
        elif not self._as_one(plan, part):
            middle = (len(part) + 1) // 2
            self._run(plan, part[:middle])
            self._run(plan, part[middle:])

    def _alone(self, plan: Plan, task: Task, node: Node, context: Context) -> None:
        started = time.perf_counter()
        try:
            output = self._in_front(lambda: node.run(context))
        except (Cancelled, KeyboardInterrupt):
            raise
        except BaseException as why:
            self._ends.fail(plan, task, why)
            return
        self._ends.finish(plan, task, output, time.perf_counter() - started)

    def _as_one(self, plan: Plan, part: Sequence[Ready]) -> bool:
        """Run nodes in one batch. False if that failed."""
        started = time.perf_counter()
        nodes, contexts = [node for _, node, _ in part], [context for _, _, context in part]
        try:
            found = self._in_front(lambda: list(type(nodes[0]).run_batch(nodes, contexts)))
            if len(found) != len(part):
                raise ValueError(f"run_batch returned {len(found)} outputs for {len(part)} nodes")
        except (Cancelled, KeyboardInterrupt):
            raise
        except Exception as why:
            self._tell(part, why)
            return False
        each = (time.perf_counter() - started) / len(part)
        for (task, _, _), output in zip(part, found, strict=True):
            self._ends.finish(plan, task, output, each)
        return True

    def _tell(self, part: Sequence[Ready], why: Exception) -> None:
        node = part[0][0].node
        problem = problems_of(why, node, {}, self._explain)[0]
        if problem.code == "E-MEMORY":
            self._most[node.id] = (len(part) + 1) // 2
        what = f"{len(part)} variants did not run together: {problem.what}"
        self._record.send(Warned(Problem("W-BATCH", what, "they run in halves", Place(node=node.id))))
        for task, _, _ in part:
            self._book.fell_back(task, "run in a smaller batch, where its own failed")
