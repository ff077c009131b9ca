"""One stack of a model's attention layers: what its configuration says, and a layer's tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attncourse.pretrained.checkpoint import Checkpoint
from attncourse.pretrained.layer import Kind, LayerHeads
from attncourse.pretrained.sources import CheckpointError
from attncourse.pretrained.stack import Place, QKNorm, Shape, Stack
from attncourse.pretrained.terms import Norm


class Layers:
    """The layers of one stack of a checkpoint, each read when it is asked for.

    Raises:
        CheckpointError: names, numbers or rules do not fit the configuration or the files.
    """

    def __init__(self, checkpoint: Checkpoint, stack: Stack) -> None:
        self._checkpoint, self._stack = checkpoint, stack
        settings = checkpoint.settings
        if stack.section:
            settings = settings.of_part(stack.section)
        self.settings = settings = settings.with_defaults(stack.defaults)
        name = checkpoint.name
        if reason := stack.refused(settings):
            raise CheckpointError(f"{name} {reason}")
        self.count = settings.number(*stack.depth)
        self.kind: Kind = (
            "cross" if stack.cross else "decoder" if stack.causal(settings) else "encoder"
        )
        self.modality = stack.modality
        self.architecture = checkpoint.settings.get("model_type")
        heads, width = settings.number(*stack.heads), settings.number(*stack.width)
        self.shapes = [self._shape(layer, heads, width) for layer in range(self.count)]
        # Rules that read no tensor complain before the work.
        self._rotary = [stack.rotary(settings, layer) for layer in range(self.count)]
        self._window = [stack.window(settings, layer) for layer in range(self.count)]
        self._prefix = checkpoint.prefix(f"{self._own(0)}{stack.query}.weight")
        self._require_all()

    def _shape(self, layer: int, heads: int, width: int) -> Shape:
        key_heads = self._stack.key_heads(self.settings, layer, heads)
        if heads % key_heads:
            raise CheckpointError(
                f"{self._checkpoint.name} has {heads} query heads, which cannot share {key_heads} "
                "key heads evenly; its config.json must be wrong"
            )
        d_k = self._stack.d_k(self.settings, layer, max(width // heads, 1))
        return Shape(width, d_k, heads, key_heads)

    def _parts(self, layer: int) -> list[str]:
        """The linear maps of a layer: those of q, k, v and o, a shared one once."""
        stack = self._stack
        own_value = [] if stack.value_is_key(self.settings, layer) else [stack.value]
        return list(dict.fromkeys([stack.query, stack.key, *own_value, stack.output]))

    def _require_all(self) -> None:
        """Every tensor's name is known: complain before the work. Notes which have biases."""
        has, require = self._checkpoint.has, self._checkpoint.require
        layers = range(self.count)
        self._biased: set[str] = set()
        if self._stack.biased(self.settings):
            # Some models have no biases, some only a few. What one layer has, all must have.
            self._biased = {
                part
                for layer in layers
                for part in self._parts(layer)
                if has(f"{self._name(layer, part)}.bias")
            }
        for layer in layers:
            for part in self._parts(layer):
                require(f"{self._name(layer, part)}.weight")
                if part in self._biased:
                    require(f"{self._name(layer, part)}.bias")
        if has(f"{self._prefix}{self._own(self.count)}{self._stack.query}.weight"):
            raise CheckpointError(
                f"{self._checkpoint.name} has tensors of more than the {self.count} layers that "
                "its config.json gives; weights and config.json are not of the same model"
            )

    def _own(self, layer: int) -> str:
        named = self._stack.layer
        return named.format(layer) if isinstance(named, str) else named(self.settings, layer)

    def _name(self, layer: int, part: str) -> str:
        return f"{self._prefix}{self._own(layer)}{part}"

    @property
    def distinct(self) -> int:
        """How many layers have weights of their own."""
        return len({self._own(layer) for layer in range(self.count)})

    @property
    def normed(self) -> bool:
        """Whether queries and keys are normed."""
        return self._stack.norm is not None and self._stack.norm.when(self.settings)

    @property
    def without_values(self) -> int:
        """How many layers take their keys for values."""
        return sum(self._stack.value_is_key(self.settings, layer) for layer in range(self.count))

    def read(self, layer: int) -> LayerHeads:
        """The heads of one layer, from the file."""
        stack, settings, shape = self._stack, self.settings, self.shapes[layer]
        W, b = self._linear_maps(layer)
        if stack.value_is_key(settings, layer):
            W["v"], b["v"] = W["k"], b["k"]
        W_q, W_k, W_v, W_o = _in_one_dtype(*(W[letter] for letter in "qkvo"))
        b_q, b_k, b_v, b_o = (b[letter] for letter in "qkvo")
        tensors = _Tensors(self._checkpoint, self._prefix, self._own(layer))
        norm_q, norm_k, norm_v = self._norms(layer, tensors)
        per_head = functools.partial(_per_head, shape)
        return LayerHeads(
            W_q=per_head(W_q),
            W_k=per_head(W_k),
            W_v=per_head(W_v),
            W_o=W_o.unflatten(1, (shape.heads, shape.d_k)).transpose(0, 1),
            b_q=None if b_q is None else per_head(b_q),
            b_k=None if b_k is None else per_head(b_k),
            b_v=None if b_v is None else per_head(b_v),
            b_o=b_o,
            kind=self.kind,
            modality=self.modality,
            number=layer,
            num_key_value_heads=shape.key_heads,
            scale=stack.scale(Place(settings, layer, shape)),
            causal=self.kind == "decoder",
            window=self._window[layer],
            rotary=self._rotary[layer],
            norm_q=norm_q,
            norm_k=norm_k,
            norm_v=norm_v,
            relative=stack.relative(Place(settings, layer, shape), tensors),
            soft_cap=stack.soft_cap(settings),
            sink=tensors.of_layer(stack.sink, (shape.heads,)) if stack.sink else None,
            value_is_key=stack.value_is_key(settings, layer),
            unmapped=stack.unmapped(settings),
        )

    # ------------------------------------------------------------ the linear maps

    def _linear_maps(self, layer: int) -> tuple[dict[str, Tensor], dict[str, Tensor | None]]:
        """Weights ``[d_out, d_in]`` and biases ``[d_out]`` or None, by the letters q, k, v, o."""
        stack, shape = self._stack, self.shapes[layer]
        inner, outer = shape.heads * shape.d_k, shape.key_heads * shape.d_k
        rows = {"q": inner, "k": outer, "v": outer, "o": shape.d_model}
        names = {"q": stack.query, "k": stack.key, "v": stack.value, "o": stack.output}
        weights: dict[str, Tensor] = {}
        biases: dict[str, Tensor | None] = {}
        for part in self._parts(layer):
            letters = [letter for letter, name in names.items() if name == part]
            sizes = [rows[letter] for letter in letters]
            d_in = inner if part == stack.output else shape.d_model
            weight, bias = self._linear(layer, part, sum(sizes), d_in)
            cut = self._cut(shape, sizes)
            weights |= zip(letters, cut(weight), strict=True)
            biases |= dict.fromkeys(letters)
            if bias is not None:
                biases |= zip(letters, cut(bias), strict=True)
        for letter, name in zip("qkv", stack.biases or (), strict=False):
            if name is not None:
                bias = self._checkpoint.read(self._name(layer, name), (rows[letter],))
                biases[letter] = bias.to(weights[letter].dtype)
        return weights, biases

    def _linear(self, layer: int, part: str, d_out: int, d_in: int) -> tuple[Tensor, Tensor | None]:
        """Weight ``[d_out, d_in]`` and bias ``[d_out]`` of a linear map, as ``nn.Linear`` has."""
        name = self._name(layer, part)
        if self._stack.transposed:
            weight = self._checkpoint.read(f"{name}.weight", (d_in, d_out)).mT
        else:
            weight = self._checkpoint.read(f"{name}.weight", (d_out, d_in))
        if part not in self._biased:
            return weight, None
        return weight, self._checkpoint.read(f"{name}.bias", (d_out,)).to(weight.dtype)

    def _cut(self, shape: Shape, sizes: list[int]) -> Callable[[Tensor], Sequence[Tensor]]:
        """How rows that lie in one matrix become those of query, key and value."""
        if len(sizes) < 3 or not self._stack.grouped_rows(self.settings):
            return lambda rows: rows.split(sizes)

        def by_group(rows: Tensor) -> list[Tensor]:
            together = shape.heads // shape.key_heads
            groups = rows.unflatten(0, (shape.key_heads, together + 2, shape.d_k))
            return [part.flatten(0, 2) for part in groups.split([together, 1, 1], dim=1)]

        return by_group

    # ------------------------------------------------------------ norms

    def _norms(self, layer: int, tensors: _Tensors) -> tuple[Norm | None, Norm | None, Norm | None]:
        named, shape = self._stack.norm, self.shapes[layer]
        if named is None or not self.normed:
            return None, None, None
        given = [self.settings.get(name) for name in named.eps]
        eps = next((float(value) for value in given if value is not None), 1e-5)
        norms = []
        for name, heads in ((named.query, shape.heads), (named.key, shape.key_heads)):
            gain = tensors.per_head(f"{name}.weight", heads, shape.d_k, named)
            bias = tensors.per_head(f"{name}.bias", heads, shape.d_k, named) if named.bias else None
            each = shape.heads // heads
            norms.append(
                Norm(
                    (gain + named.plus_one).repeat_interleave(each, dim=0),
                    None if bias is None else bias.repeat_interleave(each, dim=0),
                    eps,
                    named.centred,
                    named.together,
                )
            )
        value = Norm(None, None, eps, centred=False, together=False) if named.value else None
        return norms[0], norms[1], value


@dataclass(frozen=True)
class _Tensors:
    """The tensors of a layer and of the whole model, by what follows their prefix."""

    checkpoint: Checkpoint
    prefix: str
    own: str

    def of_layer(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.checkpoint.read(f"{self.prefix}{self.own}{name}", shape)

    def of_model(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.checkpoint.read(f"{self.prefix}{name}", shape)

    def per_head(self, name: str, heads: int, d_k: int, named: QKNorm) -> Tensor:
        """The gain or bias of a norm, ``[heads, d_k]``, in each of the ways to store it."""
        if "{}" in name:
            return torch.stack([self.of_layer(name.format(h), (d_k,)) for h in range(heads)])
        if named.each_head:
            return self.of_layer(name, (heads, d_k))
        if named.together:
            return self.of_layer(name, (heads * d_k,)).unflatten(0, (heads, d_k))
        return self.of_layer(name, (d_k,)).expand(heads, d_k)


def _per_head(shape: Shape, rows: Tensor) -> Tensor:
    """``[n·d_k, ...]`` -> ``[h, d_k, ...]``; n < h heads are each repeated for their group."""
    heads = rows.unflatten(0, (-1, shape.d_k))
    # Interleaved, 0 0 1 1: tiling them, 0 1 0 1, pairs queries with keys of other groups.
    return heads.repeat_interleave(shape.heads // len(heads), dim=0)


def _in_one_dtype(*weights: Tensor) -> Iterator[Tensor]:
    """The most precise of theirs: some checkpoints store a few tensors in float64."""
    dtype = functools.reduce(torch.promote_types, [W.dtype for W in weights])
    return (W.to(dtype) for W in weights)
