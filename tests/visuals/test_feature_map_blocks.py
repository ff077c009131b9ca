"""The diagrams of the vision papers' blocks are read off the layers that the blocks have."""

from __future__ import annotations

import pytest

from attncourse.feature_maps import (
    ChannelAttention,
    NonLocalBlock,
    PositionAttention,
    SAGANAttention,
)
from attncourse.visuals.feature_map_blocks import draw_block, parts_of
from attncourse.visuals.figures import panels

C = 16
PARTS = {
    # query, key, value, output, gate, normalised, pools
    NonLocalBlock(C): ("θ: C → C/2", "φ: C → C/2", "g: C → C/2", "W_z: C/2 → C", None, "softmax over pixels", None),
    NonLocalBlock(C, affinity="gaussian"): (None, None, "g: C → C/2", "W_z: C/2 → C", None, "softmax over pixels", None),
    NonLocalBlock(C, affinity="dot_product", inner_channels=4): ("θ: C → C/4", "φ: C → C/4", "g: C → C/4", "W_z: C/4 → C", None, "divided by their number", None),
    NonLocalBlock(C, form="code"): ("θ: C → C/2", "φ: C → C/2", "g: C → C/2", "W_z: C/2 → C", None, "÷ √(C/2), softmax over pixels", "input"),
    SAGANAttention(C): ("g: C → C/8", "f: C → C/8", "h: C → C/8", "v: C/8 → C", "γ", "softmax over pixels", None),
    SAGANAttention(C, form="code"): ("g: C → C/8", "f: C → C/8", "h: C → C/2", "v: C/2 → C", "γ", "softmax over pixels", "output"),
    PositionAttention(C): ("W_q: C → C/8", "W_k: C → C/8", "W_v: C → C", None, "α", "softmax over pixels", None),
    ChannelAttention(): (None, None, None, None, "β", "softmax over channels", None),
    ChannelAttention(form="code"): (None, None, None, None, "β", "softmax of the negative, over channels", None),
}  # fmt: skip


@pytest.mark.parametrize(("block", "parts"), PARTS.items(), ids=repr)
def test_what_is_drawn_is_what_the_block_has(block, parts) -> None:
    assert tuple(parts_of(block)) == parts
    [axes] = panels("A block", height=3.0)
    draw_block(axes, block)
    drawn = [text.get_text() for text in axes.texts]
    for part in (*parts[:4], parts[5]):
        if part:
            assert part.replace("_z", "$_z$").replace("_q", "$_q$").replace("_k", "$_k$").replace("_v", "$_v$") in drawn  # fmt: skip
    projections = [text for text in drawn if "→" in text]
    assert len(projections) == sum(part is not None for part in parts[:4])
    assert [text for text in drawn if text.startswith("·")] == (
        [f"· {parts[4]}"] if parts[4] else []
    )
    pooled = {"input": ["largest of 2 × 2"], "output": ["2 × 2", "2 × 2"], None: []}[parts[6]]
    assert [text for text in drawn if "2 × 2" in text] == pooled
