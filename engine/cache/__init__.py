"""The cache: results of nodes by key, on disk and in memory. It never gives a wrong result.

store      Cache: what the rest of the engine uses; goes on without the disk when that fails
memory     results between the runs of one process
disk       results that other processes share: the index, the blobs, and the order in which both are written
codec      values to bytes under a digest, and back
tensors    the safetensors layout
blobs      byte strings under their own digests
index      which key has which outputs (SQLite)
folders    results with files, as folders
scratch    unfinished work
"""

from engine.cache.index import Entry
from engine.cache.memory import Held
from engine.cache.store import Cache, Counts, default_root

__all__ = ["Cache", "Counts", "Entry", "Held", "default_root"]
