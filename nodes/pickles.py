"""From a pickle to safetensors, without running what is in the pickle."""

import os
import pickle
import secrets
import warnings
from pathlib import Path

from engine.errors import Problem, error
from engine.text import quoted


def convert(path: Path) -> Path:
    """Write the tensors of a torch pickle beside it as .safetensors, and give back that file.

    torch reads the pickle with weights_only, which builds tensors and plain containers and calls nothing else. Raises
    E-NOTFOUND, E-PICKLE for a pickle that holds anything more, E-MODEL for a file that is none, and E-NAME where the
    file to be written is there already.
    """
    import torch
    from safetensors.torch import save_file

    target = path.with_suffix(".safetensors")
    if not path.is_file():
        raise error(Problem("E-NOTFOUND", f"no file {quoted(str(path))}", exit_code=3))
    if target.exists():
        raise error(Problem("E-NAME", f"{quoted(str(target))} is there already", "move it away, or rename the pickle"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about protocols: what cannot be read is told of below
            value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as why:
        what = f"{quoted(str(path))} holds more than tensors; not loaded"
        raise error(Problem("E-PICKLE", what, "get the model as safetensors", exit_code=5)) from why
    except (RuntimeError, EOFError, ValueError, KeyError) as why:
        raise error(Problem("E-MODEL", f"{quoted(str(path))}: no pickle of torch, or a damaged one")) from why
    # trainers put the weights beside their own notes
    weights = value.get("state_dict", value) if isinstance(value, dict) else {}
    tensors = {name: t.clone().contiguous() for name, t in weights.items() if isinstance(t, torch.Tensor)}
    if not tensors:
        raise error(Problem("E-MODEL", f"{quoted(str(path))} holds no tensors by name"))
    temporary = target.with_name(f".weft-{secrets.token_hex(8)}.tmp")
    try:
        save_file(tensors, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
