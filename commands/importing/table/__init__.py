"""How each of ComfyUI's node types is said in nodes of ours: one small function a type, one file a subject."""

from commands.importing.table import (
    arrange,
    conditions,
    control,
    latents,
    loading,
    masks,
    merging,
    pictures,
    sampling,
    schedules,
)
from commands.importing.translate import Row

ROWS: dict[str, Row] = {
    **loading.ROWS,
    **conditions.ROWS,
    **control.ROWS,
    **latents.ROWS,
    **schedules.ROWS,
    **sampling.ROWS,
    **pictures.ROWS,
    **arrange.ROWS,
    **masks.ROWS,
    **merging.ROWS,
}
"""ComfyUI's type -> what translates it."""
