"""A node class is checked when it is defined: what it must have, and what it may not."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from toys import Image, Latent, Loaded, Model, Sample

from engine.inputs import one_file
from engine.node import Input, Node, Seed
from engine.registry import Pack, Registry


class Pair(NamedTuple):
    first: Image
    second: Latent | None


def define(returns: Any = Image, /, doc: str | None = "Does it.", **members: Any) -> type[Node]:
    """A node class with these members; `inputs` are its annotations."""

    def run(self: Any, ctx: Any) -> Any:
        return None

    run.__annotations__ = {"return": returns} if returns is not ... else {}
    members.setdefault("version", 1)
    body: dict[str, Any] = {"__module__": __name__, "__annotations__": members.pop("inputs", {}), "run": run, **members}
    if doc is not None:
        body["__doc__"] = doc
    return type(Node)("Odd", (Node,), {name: value for name, value in body.items() if value is not ...})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "g21_no_version": ({"version": ...}, "needs `version = 1`, an integer of its own"),
    "g21_version_true": ({"version": True}, "needs `version = 1`, an integer of its own"),
    "g21_version_zero": ({"version": 0}, "needs `version = 1`, an integer of its own"),
    "g21_no_docstring": ({"doc": None}, "needs a docstring that states what it computes"),
    "g21_empty_docstring": ({"doc": "  "}, "needs a docstring that states what it computes"),
    "g21_no_run": ({"run": ...}, "needs a `run(self, ctx)` of its own"),
    "g21_input_called_type": ({"inputs": {"type": int}}, 'no input may be called "type"'),
    "g21_input_called_about": ({"inputs": {"about": str}}, 'no input may be called "about"'),
    "g21_input_called_cache": ({"inputs": {"cache": bool}}, 'no input may be called "cache"'),
    "g21_input_called_outputs": ({"inputs": {"outputs": int}}, 'no input may be called "outputs"'),
    "input_of_no_wire_type": ({"inputs": {"x": Path}}, "x: Path is not a registered wire type"),
    "input_that_is_anything": ({"inputs": {"x": Any}}, "x: "),
    "choices_that_are_numbers": ({"inputs": {"x": Literal[1, 2]}}, "x: the choices of a Literal must be text"),
    "default_out_of_range": (
        {"inputs": {"x": int}, "x": Input(0, ge=1)},
        "x: its default does not fit: 0 is outside 1…",
    ),
    "default_of_another_type": ({"inputs": {"x": int}, "x": Input("1")}, 'x: its default does not fit: text "1"; '),
    "default_none_where_none_may_be": ({"inputs": {"x": int}, "x": Input(None)}, "x: its default does not fit: null"),
    "file_that_is_a_number": (
        {"inputs": {"x": int}, "x": Input(files=one_file)},
        "x: an input that names a file must be a text",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    members, why = REFUSED[case]
    with pytest.raises(TypeError) as caught:
        define(**members)
    assert str(caught.value).startswith(f"node Odd ({__name__}): {why}")


@pytest.mark.parametrize("returns", [..., Path, list[Image], Image | Latent, Any, None, Pair | None])
def test_g21_return_annotation(returns: Any) -> None:
    with pytest.raises(TypeError, match=r"node Odd .*(return annotation|registered wire type)"):
        define(returns)


@pytest.mark.parametrize(
    ("returns", "outputs", "single"),
    [
        (Image, {"image": Image}, True),
        (Image | None, {"image": Image | None}, True),
        (Pair, {"first": Image, "second": Latent | None}, False),
        (int, {"int": int}, True),
    ],
)
def test_g21_outputs(returns: Any, outputs: dict[str, Any], single: bool) -> None:
    cls = define(returns)
    assert (dict(cls.outputs), cls.single) == (outputs, single)


def test_g21_also_without_assertions() -> None:
    code = (
        "from engine.node import Node\n"
        "try:\n"
        "    class Odd(Node):\n"
        "        'Does it.'\n"
        "        def run(self, ctx) -> int: return 1\n"
        "except TypeError as why: print(why)\n"
    )
    root = Path(__file__).parent.parent.parent
    out = subprocess.run(
        [sys.executable, "-O", "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert out == "node Odd (__main__): needs `version = 1`, an integer of its own\n"


def test_what_is_read_off_a_class() -> None:
    specs = Sample.inputs
    assert list(specs) == ["model", "latent", "steps", "scale", "sampler", "seed", "second_seed"]
    assert {name: spec.type_name for name, spec in specs.items()} == {
        "model": "MODEL", "latent": "LATENT", "steps": "INT", "scale": "NUMBER", "sampler": "TEXT",
        "seed": "INT", "second_seed": "INT",
    }  # fmt: skip
    assert (specs["steps"].range_text, specs["seed"].range_text) == ("1…10000", "0…18446744073709551615")
    assert (specs["latent"].optional, specs["steps"].optional, specs["second_seed"].optional) == (True, False, True)
    assert specs["sampler"].choices == ("euler", "heun", "ddim")
    assert [name for name, spec in specs.items() if not spec.literal] == ["model", "latent"]
    assert Sample.seeds == ("seed", "second_seed")


def test_a_default_is_what_a_file_would_give() -> None:
    cls = define(inputs={"x": float, "y": list[float]}, x=Input(7), y=Input([1, 2]))
    assert [repr(spec.default) for spec in cls.inputs.values()] == ["7.0", "[1.0, 2.0]"]


@pytest.mark.parametrize(
    ("annotation", "kind", "fits"),
    [
        (int, int, True), (float, int, True), (int, float, False), (bool, int, False), (int, bool, False),
        (float, bool, False), (Model, Model, True), (Model, Image, False), (object, Image, True),
        (str | int, str, True), (list[Image], Image, True), (Image | None, Image, True),
    ],
)  # fmt: skip
def test_g22_what_fits(annotation: Any, kind: type, fits: bool) -> None:
    assert define(inputs={"x": annotation}).inputs["x"].takes(kind) is fits


def test_outputs_by_name() -> None:
    several, one = define(Loaded), define(Image)
    assert [several.output_named(n) for n in ("", "clip", "no")] == [None, "clip", None]
    assert [one.output_named(n) for n in ("", "image", "no")] == ["image", "image", None]


def test_seeds_that_are_optional_or_not() -> None:
    cls = define(inputs={"a": int, "b": int | None, "c": int}, a=Seed(), b=Seed(), c=Seed(5))
    assert {name: (spec.optional, spec.default) for name, spec in cls.inputs.items()} == {
        "a": (False, None),
        "b": (True, None),
        "c": (False, 5),
    }


def test_a_registry_imports_only_what_is_asked_for() -> None:
    registry = Registry([Pack("p", {"toys": ("Sample",), "no_such_module": ("Lost",)})])
    assert registry.get("Sample") is Sample
    assert registry.get("Nothing") is None
    assert registry.names() == ["Lost", "Sample"]


def test_a_package_that_does_not_load_is_an_error_in_words() -> None:
    from engine.errors import WeftError

    registry = Registry([Pack("p", {"no_such_module": ("Lost",)})])
    with pytest.raises(WeftError) as caught:
        registry.get("Lost")
    assert str(caught.value) == (
        "E-NODE: the module no_such_module of node Lost does not load: ModuleNotFoundError: "
        "No module named 'no_such_module'; reinstall or mend p"
    )


def test_the_first_pack_to_name_a_type_keeps_it() -> None:
    registry = Registry([Pack("p", {"toys": ("Sample",)}), Pack("q", {"no_such_module": ("Sample",)})])
    assert registry.get("Sample") is Sample


def test_installed_packs_are_found_and_broken_ones_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def __init__(self, name: str) -> None:
            self.name = name

        def load(self) -> Pack:
            if self.name == "broken":
                raise RuntimeError("no luck")
            return Pack(self.name, {"toys": ("Sample",)})

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Point("broken"), Point("good")])
    registry = Registry(entry_points=True)
    assert registry.names() == ["Sample"]
    assert registry.broken == {"broken": "RuntimeError: no luck"}
    from toys import document, flow

    from engine.compile import check

    _, (problem, *_) = check(document(flow({"a": {"type": "Zzz"}})), registry)
    assert problem.hint == 'the package "broken" did not load: RuntimeError: no luck'
