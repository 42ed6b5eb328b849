"""What deduplication of real layers saves: hash, look up and compress, by layer, by file and by chunk."""

from quotasim.dedup.chunking import Chunker, Chunking, is_compiled
from quotasim.dedup.measure import measure
from quotasim.dedup.results import ContentReport, LayerContent, LevelContent, Stage
from quotasim.dedup.sources import Layer, layers_of
from quotasim.dedup.streams import Limits

__all__ = [
    "Chunker",
    "Chunking",
    "ContentReport",
    "Layer",
    "LayerContent",
    "LevelContent",
    "Limits",
    "Stage",
    "is_compiled",
    "layers_of",
    "measure",
]
