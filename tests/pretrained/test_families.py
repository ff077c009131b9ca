"""What families do where their configurations are old, odd or not to be trusted."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from pretrained import tiny_models
from safetensors.torch import load_file, save_file

from attncourse.pretrained import CheckpointError, attention_maps, load_heads
from attncourse.pretrained.families import FAMILIES


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Tiny models by kind, saved once when they are first asked for."""
    folders = {}

    def folder(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp("saved") / "model"
            tiny_models.make(kind).save_pretrained(folders[kind])
        return folders[kind]

    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of a tiny model whose configuration is changed; None takes a name out of it."""

    def changed(kind, **changes):
        folder = shutil.copytree(saved(kind), tmp_path / "copy")
        file = folder / "config.json"
        config = json.loads(file.read_text()) | changes
        file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
        return folder

    return changed


def change_tensors(folder, change):
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def maps_differ(folder, kind):
    """By how much our maps differ at most from those of transformers, which reads the folder."""
    tiny = tiny_models.TINY[kind]
    model = getattr(transformers, tiny.model).from_pretrained(folder, attn_implementation="eager")
    calls = tiny_models.run(kind, model.eval())
    return max(
        (
            (attention_maps(layer, call.x, context=call.context, mask=call.mask) - call.maps)
            .abs()
            .max()
            .item()
        )
        for layer, call in zip(load_heads(folder), calls, strict=True)
    )


def test_every_family_is_proved_by_a_tiny_model():
    proved = {getattr(transformers, tiny.config).model_type for tiny in tiny_models.TINY.values()}
    assert proved == set(FAMILIES)


# ---------------------------------------------------------------- configurations as they come


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("bert as a decoder", {"is_causal": False}),
        ("gpt2", {"is_causal": False}),
        ("gpt2", {"scale_attn_weights": None}),
        ("gpt_neox", {"rope_parameters": None, "rotary_pct": 0.25, "rotary_emb_base": 50.0}),
        ("llama", {"rope_parameters": {"rope_type": "default"}, "rope_theta": 50.0}),
        (
            "llama",
            {
                "rope_parameters": {"rope_type": "default", "rope_theta": 70.0},
                "rope_scaling": {"rope_type": "linear", "factor": 2.0},
                "rope_theta": 50.0,
            },
        ),
        ("llama", {"sliding_window": 3, "use_sliding_window": True}),
        ("llama with biases", {"attention_bias": False}),
        ("phi", {"rope_parameters": None, "partial_rotary_factor": 0.25, "rope_theta": 40.0}),
        ("phi", {"rope_parameters": None}),
        ("stablelm", {"rope_parameters": None}),
        ("mistral with a sliding window", {"use_sliding_window": False}),
        ("qwen2 with a sliding window from layer 1 on", {"layer_types": None}),
        ("qwen3", {"layer_types": None, "max_window_layers": 1}),
        ("gemma2", {"layer_types": None}),
        ("gemma2", {"attn_logit_softcapping": None, "query_pre_attn_scalar": None}),
        (
            "gemma3_text",
            {
                "rope_parameters": None,
                "rope_theta": 1000.0,
                "rope_local_base_freq": 20.0,
                "layer_types": None,
                "sliding_window_pattern": 2,
            },
        ),
        (
            "gemma4_text",
            {"per_layer_config": None, "global_head_dim": 8, "num_global_key_value_heads": 3},
        ),
        ("olmo3", {"layer_types": None}),
        ("cohere2", {"layer_types": None, "sliding_window_pattern": 2}),
        ("smollm3", {"no_rope_layers": None, "no_rope_layer_interval": 2, "layer_types": None}),
        (
            "modernbert",
            {
                "rope_parameters": None,
                "global_rope_theta": 1000.0,
                "local_rope_theta": 30.0,
                "layer_types": None,
                "global_attn_every_n_layers": 2,
            },
        ),
        ("t5", {"relative_attention_max_distance": None, "num_decoder_layers": 3}),
    ],
)
def test_a_configuration_is_read_as_transformers_reads_it(copy, kind, changes):
    assert maps_differ(copy(kind, **changes), kind) < 3e-5


# In eager attention transformers 5.23 adds Falcon's slopes twice, in its fused kernel once, which
# is what the models were trained with (findings/transformers-falcon-alibi.sh): so the outputs are
# compared here.
def test_falcons_slopes_count_once(tmp_path):
    kind = "falcon with a key for each head"
    tiny = tiny_models.TINY[kind]
    # Twelve heads: their slopes are no powers of 2, and Falcon rounds them to bfloat16.
    config = transformers.FalconConfig(**tiny.sizes | {"num_attention_heads": 12, "alibi": True})
    config._attn_implementation = "sdpa"
    model = transformers.FalconModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.6, generator=generator)
    model.save_pretrained(tmp_path)
    inputs, outputs = [], []
    for block in model.h:
        block.self_attention.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
        block.self_attention.dense.register_forward_hook(
            lambda _, args, output: outputs.append(output)
        )
    tokens = torch.randint(3, 19, (2, 11), generator=generator)
    with torch.no_grad():
        model(tokens)
    for layer, x, wanted in zip(load_heads(tmp_path), inputs, outputs, strict=True):
        value = torch.einsum("btd,hvd->bhtv", x, layer.W_v)
        maps = attention_maps(layer, x)
        output = torch.einsum("bhts,bhsv,hdv->btd", maps, value, layer.W_o)
        torch.testing.assert_close(output, wanted, atol=1e-4, rtol=1e-5)


# Published configurations of SigLIP say nothing of its sizes; those of BLOOM have names of old.
@pytest.mark.parametrize("tower", ["text", "vision"])
def test_sizes_that_a_published_configuration_leaves_out_are_known(tmp_path, tower):
    config = transformers.SiglipConfig()
    sizes = getattr(config, f"{tower}_config")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip"}))
    save_file(
        {
            f"{tower}_model.encoder.layers.{layer}.self_attn.{part}_proj.weight": torch.eye(768)
            for layer in range(sizes.num_hidden_layers)
            for part in ("q", "k", "v", "out")
        },
        tmp_path / "model.safetensors",
    )
    heads = load_heads(tmp_path)
    assert (heads.num_layers, heads.num_heads, heads.d_model) == (
        sizes.num_hidden_layers,
        sizes.num_attention_heads,
        sizes.hidden_size,
    )


def test_the_width_of_an_older_bloom_is_found(copy):
    heads = load_heads(copy("bloom", hidden_size=None, n_embd=None, n_embed=24))
    assert heads.d_model == 24


# ---------------------------------------------------------------- what cannot be right


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("albert", {"inner_group_num": 2}, "goes through several layers in each group"),
        ("roformer", {"rotary_value": True}, "turns its values by their positions too"),
        ("gemma2", {"use_bidirectional_attention": True}, "sees both sides by a switch"),
        ("gemma4_text", {"num_kv_shared_layers": 1}, "late layers from earlier ones"),
        ("mpt", {"attn_config": {"alibi_bias_max": 4}}, "slopes of another length"),
        ("gpt_neo", {"attention_types": [[["global"], 2]]}, "attention_types for every layer"),
        ("clip", {"text_config": {"hidden_size": 0}}, "hidden_size or .* in text_config"),
    ],
)
def test_what_is_not_known_is_refused_with_its_reason(copy, kind, changes, reason):
    with pytest.raises(CheckpointError, match=reason):
        load_heads(copy(kind, **changes))


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("olmo", {"clip_qkv": 2.0}, "clips queries, keys and values .*gives clip_qkv as 2.0"),
        ("mpt", {"attn_config": {"clip_qkv": 2.0}}, "clips queries, keys and values"),
        ("deberta", {"talking_head": True}, "mixes the heads' scores"),
    ],
)
def test_maps_that_would_be_wrong_are_refused_although_the_heads_are_read(
    copy, kind, changes, reason
):
    layer = load_heads(copy(kind, **changes))[0]
    with pytest.raises(ValueError, match=reason):
        attention_maps(layer, torch.zeros(3, layer.W_q.shape[-1]))


def test_a_bias_that_one_layer_lacks_is_missed(copy):
    folder = copy("bert")
    name = "bert.encoder.layer.0.attention.self.key.bias"
    change_tensors(folder, lambda tensors: {k: v for k, v in tensors.items() if k != name})
    with pytest.raises(CheckpointError, match=f"has no tensor {name}"):
        load_heads(folder)


def test_a_table_of_distances_that_is_missing_is_named(copy):
    folder = copy("mpnet")
    name = "encoder.relative_attention_bias.weight"
    change_tensors(folder, lambda tensors: {k: v for k, v in tensors.items() if k != name})
    with pytest.raises(CheckpointError, match=f"has no tensor {name}"):
        load_heads(folder)[0]


def test_a_decoder_that_lacks_a_layer_is_not_taken_for_an_encoder_alone(copy):
    folder = copy("bart")
    name = "decoder.layers.0.encoder_attn.q_proj.weight"
    change_tensors(folder, lambda tensors: {k: v for k, v in tensors.items() if k != name})
    with pytest.raises(CheckpointError, match=f"has no tensor {name}"):
        load_heads(folder)


def test_eight_bits_with_scales_are_refused(copy):
    name = "model.layers.1.self_attn.k_proj.weight"

    def quantise(tensors):
        scale = tensors[name].abs().max() / 448
        eight = (tensors[name] / scale).to(torch.float8_e4m3fn)
        return tensors | {name: eight, f"{name}_scale_inv": scale.reshape(1, 1)}

    folder = copy("llama", quantization_config={"quant_method": "fp8"})
    change_tensors(folder, quantise)
    with pytest.raises(CheckpointError, match=r"stored as torch\.float8_e4m3fn: quantised"):
        load_heads(folder)[1]


def test_packed_weights_are_called_quantised(copy):
    folder = copy("llama", quantization_config={"quant_method": "gptq"})
    change_tensors(folder, lambda t: {k.replace("proj.weight", "proj.qweight"): t[k] for k in t})
    with pytest.raises(CheckpointError, match=r"it is quantised \(gptq\), and packed weights"):
        load_heads(folder)


def test_an_adapter_beside_its_base_is_not_overlooked(copy):
    folder = copy("llama")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"adapter_config\.json: .*merge_and_unload"):
        load_heads(folder)
    assert len(load_heads(folder / "model.safetensors")) == 3


def test_a_single_file_comes_before_an_index_as_in_transformers(copy):
    folder = copy("bert")
    name = "bert.encoder.layer.0.attention.self.query.weight"
    wanted = load_heads(folder)[0].W_q
    other = load_file(folder / "model.safetensors")
    save_file(other | {name: other[name] + 1}, folder / "model-1.safetensors")
    index = {"weight_map": dict.fromkeys(other, "model-1.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert torch.equal(load_heads(folder)[0].W_q, wanted)


# ---------------------------------------------------------------- kinds


def test_a_model_says_which_kinds_it_has_and_gives_each_by_itself(saved):
    heads = load_heads(saved("whisper"))
    assert heads.kinds == ("encoder", "decoder", "cross")
    assert heads.modalities == ("audio", "text")
    assert [layer.kind for layer in heads] == ["encoder"] * 2 + ["decoder"] * 3 + ["cross"] * 3
    assert [layer.number for layer in heads] == [0, 1, 0, 1, 2, 0, 1, 2]
    cross = heads.only("cross")
    assert len(cross) == 3
    assert torch.equal(cross[1].W_k, heads[6].W_k)
    assert len(heads.only(modality="audio")) == 2
    with pytest.raises(ValueError, match=r"no layers of kind 'cross' and modality 'audio'"):
        heads.only("cross", modality="audio")


def test_a_size_that_differs_among_kinds_is_asked_of_one_of_them(saved):
    heads = load_heads(saved("whisper"))
    assert heads.d_model == 24
    with pytest.raises(ValueError, match=r"differ in heads: \[3, 4\]; ask a layer"):
        heads.num_heads  # noqa: B018 — the property itself raises
    assert heads.only("encoder").num_heads == 3
    assert "audio encoder: 2 layers of 3 heads" in repr(heads)
    assert "text cross: 3 layers of 4 heads" in repr(heads)


def test_cross_attention_needs_a_context_and_nothing_else_takes_one(saved):
    heads = load_heads(saved("whisper"))
    x = torch.zeros(3, 24)
    with pytest.raises(ValueError, match="kind 'cross' needs a context"):
        attention_maps(heads[6], x)
    with pytest.raises(ValueError, match="kind 'encoder' takes no context"):
        attention_maps(heads[0], x, context=x)
    with pytest.raises(ValueError, match="context must have d_model = 24"):
        attention_maps(heads[6], x, context=torch.zeros(3, 5))


@pytest.mark.parametrize(
    ("kind", "beside"),
    [
        ("bert", ()),
        ("llama", ("rotary positions",)),
        ("qwen3", ("norms of query and key", "rotary positions")),
        ("gemma2", ("rotary positions", "a cap at 1.5")),
        ("t5", ("a term of the distance",)),
        ("gpt_oss", ("rotary positions", "a sink")),
    ],
)
def test_heads_say_what_makes_scores_beside_their_matrix(saved, kind, beside):
    assert load_heads(saved(kind))[0].beside == beside


def test_heads_say_where_layers_share_weights_and_where_values_are_keys(saved):
    heads = load_heads(saved("albert"))
    assert "4 layers of 3 heads that share 2 sets of weights" in repr(heads)
    assert torch.equal(heads[0].W_q, heads[1].W_q)
    assert not torch.equal(heads[1].W_q, heads[2].W_q)
    heads = load_heads(saved("gemma4_text"))
    assert "on 2 or 3 key heads" in repr(heads)
    assert "d_k 6 or 8, queries and keys normed, value = key in 2" in repr(heads)
    assert [layer.value_is_key for layer in heads] == [True, False, True]
    assert torch.equal(heads[0].W_v, heads[0].W_k)
    assert not torch.equal(heads[1].W_v, heads[1].W_k)
