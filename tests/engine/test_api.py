"""`load` and `run` from Python."""

import json
import re
import threading
from pathlib import Path

import pytest
import run_nodes
from run_nodes import REGISTRY, Tensor
from runs import flow, node

import engine
from engine import Cache, CancelToken, Settings, Sweep, load, run
from engine.context import Context
from engine.errors import Cancelled, MissingError, RunError, WorkflowError
from engine.events import NodeFinished, NodeProgress, NodeStarted, RunFinished
from engine.node import Input, Node
from engine.values import Saved, SavedFile

GUIDE = Path(__file__).parents[2] / "docs" / "api.md"


class SavePicture(Node):
    """Write a picture of one grey."""

    version = 1
    effect = True
    grey: int
    path: str = Input("out.png", template=True)

    def run(self, ctx: Context) -> Saved:
        from PIL import Image

        path = ctx.settings.out / self.path.format(**ctx.values)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 2), self.grey).save(path)
        return Saved((SavedFile(path, "", "image/png"),))


REGISTRY.add(SavePicture)


@pytest.fixture
def settings(tmp_path):
    return Settings(out=tmp_path / "out", folder=tmp_path)


def test_the_line_of_the_readme(tmp_path, settings):
    file = tmp_path / "grey.json"
    nodes = {"g": node("Add", a="$grey"), "s": node("SavePicture", grey="@g", path="{grey}.png")}
    file.write_text(json.dumps({"format": 1, "params": {"grey": 1}, "nodes": nodes}))
    result = run(load(file, registry=REGISTRY), grey=200, settings=settings, cache=Cache())
    picture = result.images[0]
    assert (picture.size, picture.getpixel((0, 0))) == ((4, 2), 200)
    assert result.files[0].path == tmp_path / "out" / "200.png"


def test_targets_that_save_nothing_are_values(settings):
    workflow = flow(a=node("Source", value=2), f=node("Fill", count=1), h=node("Split", tensor="@f"),
                    targets=["a", "h"])  # fmt: skip
    result = run(workflow, settings=settings, cache=Cache())
    assert result.values["a"] == 2
    assert isinstance(result.values["h"]["first"], Tensor)
    assert result.files == ()


def test_a_sweep_gives_files_in_the_order_of_its_variants(settings):
    workflow = flow({"x": 0, "y": 0}, a=node("Add", a="$x", b="$y"), s=node("Write", value="@a", path="{x}{y}.txt"))
    result = run(workflow, y=5, sweep=Sweep({"x": [3, 1, 2]}), settings=settings, cache=Cache())
    assert [f.path.read_text() for f in result.files] == ["8", "6", "7"]


def test_nodes_and_warnings_are_told(settings, tmp_path):
    (tmp_path / "file").write_text("")
    seen = []
    result = run(flow(a=node("Source"), targets=["a"]), settings=settings, cache=Cache(tmp_path / "file" / "c"),
                 on_event=seen.append)  # fmt: skip
    assert [p.code for p in result.warnings] == ["W-CACHE"]
    assert list(result.nodes) == ["a"]
    assert isinstance(seen[-1], RunFinished)


def test_the_users_own_cache_is_used_and_closed(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    workflow = flow(a=node("Source"), targets=["a"])
    assert "a" in run(workflow, settings=settings).nodes
    assert run(workflow, settings=settings).nodes == {}
    (tmp_path / "cache").rename(tmp_path / "moved")


def test_errors_are_raised(settings):
    with pytest.raises(WorkflowError, match='no param "colour"'):
        run(flow({"x": 1}, a=node("Add", a="$x"), targets=["a"]), colour=1, settings=settings, cache=Cache())
    with pytest.raises(MissingError, match=r"E-NOTFOUND a: no such model"):
        run(flow(a=node("Missing"), targets=["a"]), settings=settings, cache=Cache())
    run_nodes.HOOKS["throw"] = lambda: 1 / 0
    with pytest.raises(RunError, match="E-RUN h: ZeroDivisionError: division by zero"):
        run(flow(h=node("Hook", hook="throw"), targets=["h"]), settings=settings, cache=Cache())


def test_a_token_stops_a_run_from_another_thread(settings):
    token = CancelToken()
    threading.Timer(0.05, token.cancel).start()
    workflow = flow(f=node("Fill"), s=node("Shift", tensor="@f", steps=2000, wait=0.005), targets=["s"])
    with pytest.raises(Cancelled):
        run(workflow, settings=settings, cache=Cache(), token=token)


def test_public_names_are_there():
    for name in engine.__all__:
        assert getattr(engine, name) is not None
    with pytest.raises(AttributeError):
        engine.nothing  # noqa: B018


def test_the_guide_is_true(tmp_path, monkeypatch):
    """Every example of docs/api.md, one after another, with toy nodes; lines that end in `# value` are checked."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    nodes = {"g": node("Add", a="$grey"), "s": node("SavePicture", grey="@g", path="{grey}.png")}
    workflow = {"format": 1, "params": {"grey": {"default": 7, "min": 0, "max": 255}}, "nodes": nodes}
    Path("grey.json").write_text(json.dumps(workflow))
    monkeypatch.setattr("engine.api.installed", lambda: REGISTRY)
    space = {}
    checked = 0
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), space)
        for line in block.splitlines():
            expression, _, expected = line.partition("  # = ")
            if expected:
                assert repr(eval(expression, space)) == expected, line
                checked += 1
    assert checked >= 5


def test_events_can_be_followed(settings):
    seen = []
    workflow = flow(f=node("Fill"), s=node("Shift", tensor="@f", steps=2), targets=["s"])
    run(workflow, settings=settings, cache=Cache(), on_event=seen.append)
    kinds = [type(e) for e in seen if isinstance(e, NodeStarted | NodeProgress | NodeFinished) and e.node == "s"]
    assert kinds == [NodeStarted, NodeProgress, NodeProgress, NodeFinished]
