"""What is told of wires before anything runs: nodes that know say it, the others hand it on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.api import run
from engine.bind import bind
from engine.cache import Cache
from engine.compile import compile
from engine.context import Context, Settings
from engine.document import from_value
from engine.errors import Place, Problem, WorkflowError, error
from engine.foresight import foresee, foresee_runs
from engine.node import Input, Node
from engine.registry import Registry
from engine.values import Socket, register


@dataclass(frozen=True)
class Cloth:
    colour: str


register(Socket(Cloth, "CLOTH"))
seen: list[str] = []


class Weave(Node):
    """A cloth of one colour."""

    version = 1
    colour: str = "red"

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        seen.append(str(known.get("colour", "unknown")))
        return {"cloth": known["colour"]} if "colour" in known else {}

    def run(self, ctx: Context) -> Cloth:
        return Cloth(self.colour)


class Wash(Node):
    """The same cloth. It foresees nothing itself."""

    version = 1
    cloth: Cloth
    other: Cloth | None = None

    def run(self, ctx: Context) -> Cloth:
        return self.cloth


class Hang(Node):
    """A text about a cloth that must not be green."""

    version = 1
    cloth: Cloth
    height: int = Input(1, about="how high")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        if known.get("cloth") == "green":
            raise error(Problem("E-ARCH", "green hangs badly", "weave red", Place(input="cloth")))
        return {}

    def run(self, ctx: Context) -> str:
        raise AssertionError("nothing of this runs")


REGISTRY = Registry()
for node in (Weave, Wash, Hang):
    REGISTRY.add(node)


def flow(colour: object = "green", **other: object) -> dict[str, Any]:
    return {
        "format": 1,
        "params": {"colour": {"default": colour} if isinstance(colour, str) else {}},
        "nodes": {
            "weave": {"type": "Weave", "colour": "$colour"},
            "wash": {"type": "Wash", "cloth": "@weave", **other},
            "hang": {"type": "Hang", "cloth": "@wash"},
        },
    }


def problems(value: dict[str, Any], skip: tuple[str, ...] = ()) -> list[str]:
    workflow = compile(from_value(value), REGISTRY, ["hang"])
    return [str(problem) for problem in foresee(workflow, skip)]


def test_what_does_not_go_together_is_found_through_nodes_that_hand_it_on() -> None:
    assert problems(flow()) == ["E-ARCH workflow hang.cloth: green hangs badly; weave red"]
    assert problems(flow("red")) == []


def test_nothing_is_said_of_what_is_not_known() -> None:
    seen.clear()
    assert problems(flow(None)) == []
    assert seen == ["unknown"]
    assert problems(flow(), skip=("weave",)) == []


def test_a_node_hands_on_only_what_its_inputs_agree_on() -> None:
    value = flow(other="@blue")
    value["nodes"]["blue"] = {"type": "Weave", "colour": "blue"}
    assert problems(value) == []
    value["nodes"]["blue"]["colour"] = "green"
    assert len(problems(value)) == 1


def test_a_run_is_refused_before_anything_runs_by_the_values_that_it_is_given(tmp_path: Path) -> None:
    workflow = compile(from_value(flow("red")), REGISTRY, ["hang"])
    with pytest.raises(WorkflowError, match=r"hang\.cloth: green hangs badly"):
        run(workflow, settings=Settings(out=tmp_path), cache=Cache(), colour="green")


def test_variants_are_looked_at_once_each() -> None:
    workflow = compile(from_value(flow("red")), REGISTRY, ["hang"])
    seen.clear()
    graphs = [bind(workflow, {"colour": colour}) for colour in ("red", "blue", "red", "green", "green")]
    assert len(foresee_runs(graphs, Path())) == 1
    assert seen == ["red", "blue", "green"]
