"""The real registry, held against ours: CNCF distribution as Debian packages it, on loopback, on a tree of its own.

`server.py` runs the program, `client.py` speaks to it, `disk.py` reads what it stored, `documents.py` makes what is
pushed: the very bytes that `quotasim.Image` and `quotasim.Index` write, so that both sides have the same digests.
"""

from .client import Client, Reply
from .disk import Disk, Repository, read_disk
from .documents import Document, Payload, WidePayload, fields_of, image, index, payload, written
from .memory import Memory
from .server import Collection, RealRegistry, find_program, scratch
from .twins import Twins, pick

__all__ = [
    "Client",
    "Collection",
    "Disk",
    "Document",
    "Memory",
    "Payload",
    "RealRegistry",
    "Reply",
    "Repository",
    "Twins",
    "WidePayload",
    "fields_of",
    "find_program",
    "image",
    "index",
    "payload",
    "pick",
    "read_disk",
    "scratch",
    "written",
]
