"""Opening whatever a stranger sends runs, imports, fetches and writes nothing: Python's own audit hook looks on."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
sys.path[:0] = [{tests!r}]
import toy_nodes, cli
registry = toy_nodes.registry()
WAYS = (["show"], ["show", "--json"], ["extract"], ["check"], ["graph"])
EFFECTS = ("socket.", "subprocess.", "os.", "shutil.", "tempfile.", "pickle.", "urllib.", "http.", "sqlite3.")
LOADING = ("import", "exec", "compile", "marshal.", "ctypes.")
seen = []
warm = False  # our own modules are imported the first time that each way is gone

def hook(event, args):
    if event == "open":
        path, mode, flags = args
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & 3):
            seen.append(f"{{event}} {{path}} {{mode}} {{flags}}")
    elif event.startswith(EFFECTS) and event not in ("os.listdir", "os.scandir"):
        seen.append(f"{{event}} {{str(args)[:200]}}")
    elif warm and event.startswith(LOADING):
        seen.append(f"{{event}} {{str(args)[:200]}}")

sys.addaudithook(hook)
for warm in (False, True):
    for file in sys.argv[1:]:
        for words in WAYS:
            cli.main([words[0], file, *words[1:]], registry)
        cli.main(["diff", file, file], registry)
print("SEEN", seen)
"""

EVIL = {
    "format": 1,
    "name": "[@click=app.quit]x[/]",
    "params": {"prompt": "__import__('os').system('touch pwned')", "url": "https://example.com/x.png"},
    "nodes": {
        "base": {"type": "LoadCheckpoint", "source": "stranger/model"},
        "load": {"type": "LoadImage", "path": "$url"},
        "odd": {"type": "no.such.Module", "x": "!!python/object"},
        "save": {"type": "SaveImage", "image": "@load.image", "path": "{prompt.__class__}.png"},
    },
}


def test_opening_does_nothing(tmp_path, weft):
    from PIL import Image

    from engine.pictures.texts import Text
    from engine.pictures.write import with_blocks, with_chunks

    Image.new("RGB", (8, 8), "red").save(tmp_path / "in.png")
    flow = {"format": 1, "nodes": {"l": {"type": "LoadImage", "path": "in.png"},
                                   "s": {"type": "SaveImage", "image": "@l.image", "path": "a.png"}}}  # fmt: skip
    for ending in ("png", "webp", "jpg"):
        flow["nodes"]["s"]["path"] = f"a.{ending}"
        weft("run", "f.json", "--out", ".", f=flow)
    weft("bundle", "a.png", "--outputs")
    evil = json.dumps(EVIL)
    (tmp_path / "evil.json").write_text(evil)
    plain = (tmp_path / "in.png").read_bytes()
    (tmp_path / "evil.png").write_bytes(with_chunks(plain, [Text("weft_workflow", evil), Text("weft_lock", evil)]))
    (tmp_path / "evil2.png").write_bytes(with_chunks(plain, [Text("weft_workflow", evil)]))
    (tmp_path / "evil.webp").write_bytes(
        with_blocks((tmp_path / "a.webp").read_bytes(), b"", b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/x'>]>&a;")
    )
    (tmp_path / "evil.zip").write_bytes((tmp_path / "a.weft.zip").read_bytes().replace(b"lock.json", b"../a.json"))
    (tmp_path / "evil.lock").write_text(json.dumps({"weft_lock": 1, "lock": EVIL, "document": EVIL, "digest": ""}))
    (tmp_path / "evil.safetensors").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    files = ["f.json", "a.png", "a.webp", "a.jpg", "a.weft.zip", "a.lock", "evil.json", "evil.png", "evil2.png"]
    files += ["evil.webp", "evil.zip", "evil.lock", "evil.safetensors"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code = SCRIPT.format(tests=str(Path(__file__).parent))
    found = subprocess.run(
        [sys.executable, "-c", code, "x", *files, "evil.json"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "SEEN []" in found.stdout, found.stdout[-3000:]
    assert "Traceback" not in found.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
