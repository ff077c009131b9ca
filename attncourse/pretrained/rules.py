"""Rules that several families share: which layers see how far, and what positions do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attncourse.pretrained.checkpoint import Settings
from attncourse.pretrained.sources import CheckpointError
from attncourse.pretrained.stack import Place, Tensors
from attncourse.pretrained.terms import Buckets, Relative, Slopes

Window = Callable[[Settings, int], int | None]
Rotary = Callable[[Settings, int], Mapping[str, Any] | None]


def causal(settings: Settings) -> bool:
    """A decoder sees both sides all the same where its configuration says so."""
    return bool(settings.get("is_causal", True))


def decodes(settings: Settings) -> bool:
    """BERT and its kin are encoders unless told to decode."""
    return bool(settings.get("is_decoder")) and causal(settings)


def flag(name: str, otherwise: bool) -> Callable[[Settings], bool]:
    """A switch of the configuration."""
    return lambda settings: bool(settings.get(name, otherwise))


def always(settings: Settings) -> bool:
    """Whatever the configuration says."""
    return True


def never(settings: Settings) -> bool:
    """Whatever the configuration says."""
    return False


# ---------------------------------------------------------------- what is refused


def unless(name: str, value: Any, why: str) -> Callable[[Settings], str | None]:
    """A reason, unless a setting has the value or is not given."""

    def reason(settings: Settings) -> str | None:
        given = settings.get(name, value)
        return None if given == value else f"{why} (its config.json gives {name} as {given!r})"

    return reason


def only_absolute(settings: Settings) -> str | None:
    """What BERT's kin did with ``position_embedding_type``."""
    kind = settings.get("position_embedding_type", "absolute")
    if kind == "absolute":
        return None
    return (
        f"adds {kind!r} position embeddings to its scores, which no pair of projections can express"
    )


ONE_WAY = unless(
    "use_bidirectional_attention",
    False,
    "sees both sides by a switch that is not known here; what is known would be wrong for it",
)
CLIPS = unless("clip_qkv", None, "clips queries, keys and values")

# ---------------------------------------------------------------- windows


def slides(settings: Settings, layer: int, otherwise: Callable[[int], bool]) -> bool:
    """Whether a layer has a sliding window, as the configuration says or else by a pattern."""
    kinds = settings.values.get("layer_types")
    if kinds is None:
        return otherwise(layer)
    if isinstance(kinds, list) and layer < len(kinds):
        return bool(kinds[layer] == "sliding_attention")
    raise CheckpointError(
        f"the config.json of {settings.name} must give layer_types as a list with an entry "
        f"for each layer, it gives {kinds!r}"
    )


def slides_but_each(every: int) -> Callable[[Settings, int], bool]:
    """All layers slide but each ``every``-th, unless the configuration says otherwise."""

    def rule(settings: Settings, layer: int) -> bool:
        own = settings.number("sliding_window_pattern", "_sliding_window_pattern", otherwise=every)
        return slides(settings, layer, lambda number: (number + 1) % own != 0)

    return rule


def _span(settings: Settings, otherwise: int | None) -> int | None:
    """The length of a window; null in the configuration means none."""
    if settings.values.get("sliding_window", otherwise) is None:
        return None
    return settings.number("sliding_window", otherwise=otherwise)


def window(otherwise: int | None) -> Window:
    """A window in every layer: Mistral, Phi-3."""
    return lambda settings, layer: _span(settings, otherwise)


def window_but_each(every: int, otherwise: int) -> Window:
    """A window in all layers but each ``every``-th: Gemma 2 and 3, OLMo 3, Cohere 2."""
    rule = slides_but_each(every)
    return lambda settings, layer: _span(settings, otherwise) if rule(settings, layer) else None


def window_where_asked(settings: Settings, layer: int) -> int | None:
    """Qwen: none unless asked for; by kind of layer, in older files from some layer on."""
    if not settings.get("use_sliding_window", False):
        return None
    first = settings.values.get("max_window_layers", 28) or 0
    here = slides(settings, layer, lambda number: number >= first)
    return _span(settings, 4096) if here else None


# ---------------------------------------------------------------- positions


def rope(
    *,
    theta: float = 10_000.0,
    share: float | None = None,
    interleaved: bool = False,
    names: tuple[str, str] = ("rope_theta", "partial_rotary_factor"),
) -> Rotary:
    """Rotary positions as today's and as older configurations give their parameters.

    Args:
        theta, share: the base, and the part of the features that is turned, where the
            configuration does not say.
        interleaved: neighbouring features are turned together.
        names: what the configuration calls base and part outside of its section.
    """

    def rule(settings: Settings, layer: int) -> Mapping[str, Any]:
        # In this order where a file has both, as transformers reads them.
        section = settings.section("rope_scaling") or settings.section("rope_parameters")
        given = {"rope_theta": settings.get(names[0], theta), **section}
        part = settings.get(names[1], share)
        if part is not None:
            given.setdefault("partial_rotary_factor", part)
        if given.get("rope_type", given.get("type")) in ("llama3", "yarn"):
            before = "original_max_position_embeddings"
            if settings.get(before) is not None:
                given[before] = settings.get(before)
            given.setdefault(before, settings.get("max_position_embeddings"))
        return given | {"interleaved": True} if interleaved else given

    return rule


def rope_by_kind(
    is_sliding: Callable[[Settings, int], bool], full: tuple[str, float], sliding: tuple[str, float]
) -> Rotary:
    """Rotary positions of models whose layers with a window have a base of their own.

    Args:
        full, sliding: where older configurations give the base, and what it is by default.
    """

    def rule(settings: Settings, layer: int) -> Mapping[str, Any]:
        here = is_sliding(settings, layer)
        name, otherwise = sliding if here else full
        parameters = settings.section("rope_parameters")
        own = parameters.get("sliding_attention" if here else "full_attention") or {}
        older = {} if here else settings.section("rope_scaling")
        return {"rope_theta": settings.get(name, otherwise), **older, **own}

    return rule


def rope_where(is_there: Callable[[Settings, int], bool], positions: Rotary) -> Rotary:
    """Rotary positions in some layers or models alone."""
    return lambda settings, layer: positions(settings, layer) if is_there(settings, layer) else None


def buckets(
    table: str, both_ways: bool, of_layer: bool, place: Place, tensors: Tensors
) -> Relative:
    """The table of T5 and MPNet, of each layer or of the model."""
    settings = place.settings
    count = settings.number("relative_attention_num_buckets", otherwise=32)
    read = tensors.of_layer if of_layer else tensors.of_model
    far = settings.number("relative_attention_max_distance", otherwise=128)
    return Buckets(read(table, (count, place.shape.heads)).mT, both_ways, far)


def slopes(place: Place, tensors: Tensors) -> Relative:
    """ALiBi as BLOOM has it."""
    return Slopes.of(place.shape.heads)


# ---------------------------------------------------------------- scales


def unscaled(place: Place) -> float:
    """T5, GPT-Neo: the weights have learnt to be small enough."""
    return 1.0


def scale_by_number(name: str, otherwise: float) -> Callable[[Place], float]:
    """Gemma: 1/√ of a number that need not be d_k."""
    return lambda place: float(place.settings.get(name, otherwise)) ** -0.5
