"""The heads of real models: read from safetensors, one layer at a time, and measured."""

from attncourse.pretrained.heads import Heads, load_heads
from attncourse.pretrained.layer import LayerHeads
from attncourse.pretrained.maps import attention_maps
from attncourse.pretrained.sources import CheckpointError
from attncourse.pretrained.surveying import STATISTICS, summarise, survey

__all__ = [
    "STATISTICS",
    "CheckpointError",
    "Heads",
    "LayerHeads",
    "attention_maps",
    "load_heads",
    "summarise",
    "survey",
]
