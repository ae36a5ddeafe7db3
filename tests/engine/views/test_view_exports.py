import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from view_goldens import check
from view_pictures import PICTURES

from engine.views import Box, Picture, Port, Wire, colour, dot, mermaid, svg

HOSTILE = [
    '"]; end; click n0 href "javascript:alert(1)"',
    "</text><script>alert(1)</script>",
    "%%{init: {}}%%",
    "--> n1 | n2 & `x` #quot; \\",
    "}\n  evil [label=x]",
    "<B>bold</B>&amp;",
    "\x1b[31m\u202e\ud800",
]


def hostile(text):
    ports = (Port(text, text),)
    boxes = (Box(text, text, ports, ports), Box("end", text, ports))
    return Picture(boxes, (Wire(text, text, "end", text), Wire(f"gone {text}", text, "end", text)))


@pytest.mark.parametrize("name", ["refiner", "cycle", "none"])
@pytest.mark.parametrize("draw", [mermaid, dot])
def test_export_golden(draw, name):
    check(f"{name}.{draw.__name__}.txt", draw(PICTURES[name]))


@pytest.mark.parametrize("name", PICTURES)
def test_svg_is_valid_xml_with_a_box_and_its_ports_for_each_node(name):
    picture = PICTURES[name]
    root = ElementTree.fromstring(svg(picture, title="a <title>"))
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title").text == "a <title>"
    boxes = [e for e in root.iter(f"{space}rect") if e.get("class") == "box"]
    assert len(boxes) == len(picture.boxes)
    assert len(list(root.iter(f"{space}circle"))) == sum(len(b.inputs) + len(b.outputs) for b in picture.boxes)
    left, top, w, h = map(float, root.get("viewBox").split())
    for box in boxes:
        x, y, bw, bh = (float(box.get(k)) for k in ("x", "y", "width", "height"))
        assert left <= x < x + bw <= left + w
        assert top <= y < y + bh <= top + h


def test_svg_draws_every_wire_from_port_to_port():
    root = ElementTree.fromstring(svg(PICTURES["sdxl"]))
    paths = [e.get("d") for e in root.iter() if e.get("class") == "wire"]
    ports = {(e.get("cx"), e.get("cy")) for e in root.iter() if e.tag.endswith("circle") and e.get("class") != "open"}
    starts = {re.match(r"M(\d+) (\d+)", path).groups() for path in paths}
    assert len(paths) == len({wire.net for wire in PICTURES["sdxl"].wires})
    assert starts < ports
    points = {(x, y) for path in paths for x, y in re.findall(r"(\d+) (\d+)(?=M|$)", path)}
    points |= {(x, y) for path in paths for y, x in re.findall(r"M\d+ (\d+)H(\d+)", path)}
    assert ports <= starts | points


@pytest.mark.parametrize("text", HOSTILE)
def test_svg_holds_no_markup_from_a_file(text):
    root = ElementTree.fromstring(svg(hostile(text), title=text))
    allowed = {"svg", "title", "style", "rect", "path", "circle", "text"}
    assert {e.tag.rpartition("}")[2] for e in root.iter()} <= allowed
    assert not any(name.startswith("on") or "href" in name for e in root.iter() for name in e.attrib)


@pytest.mark.parametrize("text", HOSTILE)
def test_mermaid_holds_no_syntax_from_a_file(text):
    label = r"[^\"#;%<>|`&{}\\]*(#\d+;[^\"#;%<>|`&{}\\]*)*"
    shapes = (
        r"flowchart LR",
        rf'  n\d+\["{label}<br>{label}"\]',
        rf'  x\d+\(\["{label}"\]\)',
        rf'  [nx]\d+ (-->|-\.->)\|"{label}"\| n\d+',
        r"  linkStyle [\d,]+ stroke:#[0-9a-f]{6},stroke-width:2px",
    )
    for line in mermaid(hostile(text)).splitlines():
        assert any(re.fullmatch(shape, line) for shape in shapes), line


@pytest.mark.parametrize("text", HOSTILE)
def test_dot_holds_no_syntax_from_a_file(text):
    lines = dot(hostile(text)).splitlines()
    assert len(lines) == 4 + 2 + 1 + 2 + 1
    for line in lines[4:6]:
        table = ElementTree.fromstring(re.fullmatch(r"  n\d \[label=<(<TABLE.*</TABLE>)>\]", line)[1])
        assert {e.tag for e in table.iter()} <= {"TABLE", "TR", "TD", "B", "FONT"}
    ElementTree.fromstring(
        re.fullmatch(r'  x0 \[shape=box, style="dashed,rounded", label=<(.*)>\]', lines[6])[1].join(("<a>", "</a>"))
    )
    for line in lines[7:9]:
        assert re.fullmatch(r'  [nx]\d(:o0:e)? -> n\d:i\d:w \[color="#[0-9a-f]{6}"(, style=dashed.*)?\]', line)


def test_sockets_have_their_colours_and_others_are_grey():
    named = ["MODEL", "TEXT ENCODER", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK", "anything else"]
    assert len({colour(kind) for kind in named}) == len(named)
    assert colour("[IMAGE]") == colour("image") == colour("IMAGE")
    assert colour("TEXT_ENCODER") == colour("TEXT ENCODER")


def test_drawing_imports_nothing_heavy():
    code = (
        "import sys, engine.views\n"
        "heavy = {'torch', 'numpy', 'networkx', 'pydantic', 'textual', 'rich', 'diffusers'} & set(sys.modules)\n"
        "print(*sorted(heavy))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
