"""weft convert: a pickle is explained, and copied without running what is in it."""

import pickle

import pytest
import torch
from safetensors.torch import load_file

from cli import main


class Evil:
    """Would write a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_without_yes_it_only_explains(tmp_path, capsys):
    torch.save({"w": torch.ones(2)}, tmp_path / "m.ckpt")
    assert main(["convert", str(tmp_path / "m.ckpt")]) == 0
    assert "may call any function while it is read" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["m.ckpt"]


def test_with_yes_the_weights_are_copied(tmp_path, capsys):
    torch.save({"state_dict": {"w": torch.ones(2)}, "step": 3}, tmp_path / "m.ckpt")
    assert main(["convert", str(tmp_path / "m.ckpt"), "--yes"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'm.safetensors'}\n"
    assert load_file(tmp_path / "m.safetensors")["w"].tolist() == [1, 1]
    assert main(["convert", str(tmp_path / "m.ckpt"), "--yes"]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_b75_a_pickle_that_runs_code_does_not_run(tmp_path, capsys, save):
    save({"w": Evil(tmp_path / "run")}, tmp_path / "m.ckpt")
    assert main(["convert", str(tmp_path / "m.ckpt"), "--yes"]) == 5
    assert "holds more than tensors; not loaded; get the model as safetensors" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["m.ckpt"]


def test_what_is_no_pickle(tmp_path, capsys):
    assert main(["convert", str(tmp_path / "none.ckpt"), "--yes"]) == 3
    (tmp_path / "m.ckpt").write_bytes(b"")
    assert main(["convert", str(tmp_path / "m.ckpt"), "--yes"]) == 2
    assert "E-MODEL" in capsys.readouterr().err
