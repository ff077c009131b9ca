"""The picture of a survey says in words what it draws."""

from __future__ import annotations

import pandas as pd

from attncourse.pretrained import STATISTICS
from attncourse.visuals.trained_heads import survey_picture


def frame(model, value):
    """Two layers of two heads; every statistic has the one value, and chance is a fifth of it."""
    return pd.DataFrame(
        [
            {"model": model, "weights": weights, "level": level, "layer": layer}
            | dict.fromkeys(STATISTICS, value if weights == "trained" else value / 5)
            for weights in ("trained", "random")
            for level in ("head", "head", "layer")
            for layer in range(2)
        ]
    )


def test_it_has_two_panels_for_each_model_and_gives_their_numbers_in_words():
    picture = survey_picture(pd.concat([frame("small", 0.4), frame("large", 0.1)]))
    assert picture._repr_mimebundle_()["text/html"].count("<svg") == 4
    assert (
        "small. Symmetry: median 0.40 for a head, 0.40 for a layer's heads summed, 0.08 for random "
        "weights. Median overlap of row spaces: Q–K 0.40, Q–V 0.40, K–V 0.40, random weights 0.08."
    ) in picture.alt
    assert "large. Symmetry: median 0.10" in picture.alt


def test_a_model_of_one_layer_and_a_long_name_can_be_drawn(tmp_path):
    one = frame("/a/long/way/to/a/folder/with/a/model", 0.3).query("layer == 0")
    survey_picture(one).save(tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_kinds_of_attention_have_panels_of_their_own():
    kinds = [
        frame("whole", value).assign(kind=kind, modality="text")
        for kind, value in (("encoder", 0.4), ("cross", 0.1))
    ]
    picture = survey_picture(pd.concat(kinds))
    assert picture._repr_mimebundle_()["text/html"].count("<svg") == 4
    assert "whole, encoder. Symmetry: median 0.40" in picture.alt
    assert "whole, cross. Symmetry: median 0.10" in picture.alt
