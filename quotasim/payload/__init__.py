"""Real bytes for images: seeded files, tar layers of them, and OCI image layouts that any client can push."""

from quotasim.payload.content import FilePayload, Pool, file_pieces
from quotasim.payload.layers import LayerPayload, layer_pieces, random_layer, tar_pieces
from quotasim.payload.layout import ImagePayload, image_payload, write_layer, write_layout

__all__ = [
    "FilePayload",
    "ImagePayload",
    "LayerPayload",
    "Pool",
    "file_pieces",
    "image_payload",
    "layer_pieces",
    "random_layer",
    "tar_pieces",
    "write_layer",
    "write_layout",
]
