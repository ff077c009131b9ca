"""Interactive figures: one module each, live in a notebook and in a page without a kernel."""

from attncourse.visuals.explorers.attention_maps import AttentionMaps, Question
from attncourse.visuals.explorers.base import Explorer, module_names, module_source
from attncourse.visuals.explorers.circuit_split import CircuitSplit
from attncourse.visuals.explorers.key_value import KeyValue
from attncourse.visuals.explorers.live_softmax import LiveSoftmax
from attncourse.visuals.explorers.one_head import OneHead
from attncourse.visuals.explorers.one_projection import OneProjection
from attncourse.visuals.explorers.pixel_match import PixelMatch
from attncourse.visuals.explorers.two_heads import TwoHeads
from attncourse.visuals.explorers.two_projections import TwoProjections
from attncourse.visuals.explorers.two_sequences import TwoSequences
from attncourse.visuals.explorers.wishes import Wishes

__all__ = [
    "AttentionMaps",
    "CircuitSplit",
    "Explorer",
    "KeyValue",
    "LiveSoftmax",
    "OneHead",
    "OneProjection",
    "PixelMatch",
    "Question",
    "TwoHeads",
    "TwoProjections",
    "TwoSequences",
    "Wishes",
    "module_names",
    "module_source",
]
