"""Model files that are damaged, dangerous or not what they are taken for: each is told by name, before it is opened."""

import json
import pickle
import resource
import time
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import WeftError
from nodes.sources import model_files


def packed(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def one(dtype="F32", shape=(1,), offsets=(0, 4), name="a"):
    return {name: {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


ENTRY = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
DAMAGED = {
    "b74_empty": (b"", "0 bytes; cut short, or no safetensors file"),
    "b74_seven_bytes": (b"1234567", "7 bytes; cut short, or no safetensors file"),
    "b74_length_2_63": ((1 << 63).to_bytes(8, "little") + b"{}",
                        "a header of 9223372036854775808 bytes in a file of 10; cut short, or no safetensors"),
    "b74_not_json": (packed(b"{nonsense"), "its header is not JSON"),
    "b74_bad_utf8": (packed(b'{"\xff": 1}'), "its header is not UTF-8"),
    "b74_a_list": (packed([]), "its header is not a JSON object"),
    "b74_short_body": (packed(one(), b"12"), "71 bytes where its header says 73; cut short"),
    "b74_extra_body": (packed(one(), b"123456"), "75 bytes where its header says 73; something was added"),
    "b74_overlap": (packed(one() | one(offsets=(2, 6), name="b"), b"123456"), "tensor 'b' overlaps another"),
    "b74_a_gap": (packed(one(offsets=(4, 8)), b"12345678"), "tensor 'a' leaves a gap before it"),
    "b74_negative_shape": (packed(one(shape=(-1,)), b"1234"), "tensor 'a' has an impossible shape"),
    "b74_overflowing_shape": (packed(one(shape=(1 << 62, 4)), b"1234"), "tensor 'a' has an impossible shape"),
    "b74_unknown_dtype": (packed(one(dtype="Q7"), b"1234"), "tensor 'a' has the unknown dtype 'Q7'"),
    "b74_duplicate_name": (packed(f'{{"a":{ENTRY},"a":{ENTRY}}}'.encode()), "'a' stands twice in its header"),
    "b74_dunder_name": (packed(one(name="__class__"), b"1234"),
                        "a tensor called '__class__'; names that begin with __ are not for tensors"),
    "b74_lfs_pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
                        "it is a Git LFS pointer, not the file itself; get it with git lfs pull"),
}  # fmt: skip


def refusal(source, folder, **more):
    with pytest.raises(WeftError) as found:
        model_files(str(source), folder, **more)
    (problem,) = found.value.problems
    return problem


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file(case, tmp_path):
    data, reason = DAMAGED[case]
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    problem = refusal("m.safetensors", tmp_path)
    assert str(problem) == f"E-MODEL: {path}: {reason}; download it again"
    assert problem.exit_code == 2


def test_b74_a_header_of_a_million_tensors_takes_neither_time_nor_memory(tmp_path):
    text = b"{" + b",".join(b'"t%d":%s' % (i, ENTRY.encode()) for i in range(1_500_000)) + b"}"
    (tmp_path / "m.safetensors").write_bytes(packed(text))
    length = len(text)
    del text
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    problem = refusal("m.safetensors", tmp_path)
    assert time.perf_counter() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert problem.what.endswith(f"a header of {length} bytes; at most 8388608 are read")


@pytest.mark.parametrize("name", ["m.safetensors", "m.ckpt"])
@pytest.mark.parametrize("kind", ["pickle", "zip"])
def test_b75_a_pickle_under_any_name(tmp_path, name, kind):
    path = tmp_path / name
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("archive/data.pkl", b"")
    else:
        path.write_bytes(pickle.dumps({"a": 1}))
    problem = refusal(name, tmp_path)
    assert (problem.code, problem.exit_code) == ("E-PICKLE", 5)
    assert "is a pickle, which could run code; not loaded" in problem.what
    assert problem.hint.startswith("weft convert ")
    assert problem.hint.endswith(" explains the risk")


OTHER = {
    "b76_a_lora": ({"lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 2048)},
                   'E-ARCH: "m.safetensors" is a LoRA for SDXL; load it with LoRALoad'),
    "b76_a_controlnet": ({"controlnet_cond_embedding.conv_in.weight": (4, 3, 3, 3)},
                         'E-ARCH: "m.safetensors" is a ControlNet for Stable Diffusion 1.x or 2.x; '
                         "load it with LoadControlNet"),
    "b76_nothing_known": ({f"layer.{i}.weight": (2, 2) for i in range(9)},
                          'E-ARCH: "m.safetensors" is no model that weft knows'),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER)
def test_what_is_no_checkpoint_is_told_what_it_is(case, tmp_path):
    shapes, message = OTHER[case]
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "m.safetensors")
    assert str(refusal("m.safetensors", tmp_path)) == message
