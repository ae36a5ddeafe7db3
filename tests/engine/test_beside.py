"""An input that names files may look at other inputs of its node to find them."""

from collections.abc import Sequence
from pathlib import Path

from engine.bind import bind
from engine.cache import Cache
from engine.compile import compile
from engine.context import Context, Settings
from engine.document import from_value
from engine.errors import Problem, error
from engine.inputs import check_files
from engine.node import Input, Node
from engine.plan import make_plan
from engine.registry import Registry


def parts(value: str, base: Path, allowed: Sequence[Path] = (), ending: str = "") -> list[Path]:
    path = base / f"{value}.{ending}"
    if not path.is_file():
        raise error(Problem("E-NOTFOUND", f"{value} has no {ending}", exit_code=3))
    return [path]


class OpenPart(Node):
    """A file by its name and its ending."""

    version = 1
    name: str = Input(files=parts, beside=("ending",))
    ending: str = "a"

    def run(self, ctx: Context) -> str:
        return self.name


REGISTRY = Registry()
REGISTRY.add(OpenPart)


def test_the_files_follow_the_input_beside(tmp_path):
    (tmp_path / "f.a").write_text("1")
    (tmp_path / "f.b").write_text("2")
    document = from_value({"format": 1, "params": {"e": "a"}, "nodes": {"n": {"type": "OpenPart", "name": "f",
                                                                               "ending": "$e"}}})  # fmt: skip
    workflow = compile(document, REGISTRY, ["n"])
    graphs = [bind(workflow, {"e": ending}) for ending in "ab"]
    plan = make_plan(graphs, Cache(), Settings(folder=tmp_path))
    files = [plan.digest_files(graph.nodes["n"], "name") for graph in graphs]
    assert [[name for name, _ in found] for found in files] == [["f.a"], ["f.b"]]
    assert files[0][0][1] != files[1][0][1]


def test_a_check_knows_it_too():
    document = from_value({"format": 1, "nodes": {"n": {"type": "OpenPart", "name": "f", "ending": "c"}}})
    (problem,) = check_files(compile(document, REGISTRY, ["n"]))
    assert (problem.code, problem.what) == ("E-NOTFOUND", "f has no c")
