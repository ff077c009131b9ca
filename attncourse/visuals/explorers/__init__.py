"""Interactive figures: one module each, live in a notebook and in a page without a kernel."""

from attncourse.visuals.explorers.base import Explorer, module_names, module_source
from attncourse.visuals.explorers.live_softmax import LiveSoftmax
from attncourse.visuals.explorers.pixel_match import PixelMatch

__all__ = ["Explorer", "LiveSoftmax", "PixelMatch", "module_names", "module_source"]
