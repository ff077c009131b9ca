"""A checkpoint's configuration, and its tensors one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attncourse.arguments import count_bad, known_finite
from attncourse.pretrained.sources import CONFIG, CheckpointError, Source


@dataclass(frozen=True)
class Settings:
    """What a configuration says, or one of its sections, such as that of a model's text tower.

    Attributes:
        name: of the checkpoint, for messages.
        values: by name, as they stand in the file.
        of: the section that they are of, for messages; empty for the whole.
    """

    name: str
    values: Mapping[str, Any]
    of: str = ""

    def get(self, name: str, otherwise: Any = None) -> Any:
        """What stands under a name; ``otherwise`` where nothing does, or null."""
        value = self.values.get(name)
        return otherwise if value is None else value

    def of_part(self, name: str) -> Settings:
        """The settings in a section: of one tower of a model that has several."""
        return Settings(self.name, self.section(name), name)

    def with_defaults(self, defaults: Mapping[str, Any]) -> Settings:
        """The same, with what the configuration leaves out."""
        return Settings(self.name, {**defaults, **self.values}, self.of)

    def number(self, *names: str, otherwise: int | None = None) -> int:
        """The whole number that the configuration gives under one of its possible names.

        Args:
            otherwise: what it is where the configuration gives none.
        """
        given = {name: self.values[name] for name in names if self.values.get(name) is not None}
        if not given and otherwise is not None:
            return otherwise
        for number in given.values():
            if isinstance(number, int) and not isinstance(number, bool) and number > 0:
                return number
        raise CheckpointError(
            f"the {CONFIG} of {self.name} must give {' or '.join(names)}{self._where} as a whole "
            f"number above 0, it gives {given or 'none'}"
        )

    def section(self, name: str) -> dict[str, Any]:
        """The object that the configuration gives under a name; empty where it gives none."""
        section = self.values.get(name) or {}
        if not isinstance(section, dict):
            raise CheckpointError(
                f"the {CONFIG} of {self.name} must give {name}{self._where} as a JSON "
                f"object, it gives {section!r}"
            )
        return section

    @property
    def _where(self) -> str:
        return f" in {self.of}" * bool(self.of)


class Checkpoint:
    """Names and configuration are read at once, a tensor when it is asked for.

    A file is opened for each tensor and closed again, so that nothing but the tensors in use
    keeps its pages in memory: a checkpoint of 13 GB needs no 13 GB.

    Args:
        source: the files, from :func:`attncourse.pretrained.sources.find`.

    Raises:
        CheckpointError: a file is damaged or is not what its name says.
    """

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.settings = Settings(source.name, _read_config(source.config))
        self._file_of: dict[str, Path] = {}
        for file in source.tensors:
            try:
                # Opening reads the header and compares it with the length of the file.
                with safe_open(file, framework="pt") as tensors:
                    self._file_of.update(dict.fromkeys(tensors.keys(), file))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    f"{file} ({file.stat().st_size:,} bytes) is cut short or is not a "
                    f"safetensors file ({error}); download it again"
                ) from None

    def prefix(self, name: str) -> str:
        """What stands before ``name`` in this checkpoint, such as ``"bert."`` or nothing."""
        ends = [own for own in self._file_of if own == name or own.endswith("." + name)]
        if len(ends) == 1:
            return ends[0].removesuffix(name)
        if ends:
            raise CheckpointError(
                f"{self.name} holds several models: {', '.join(sorted(ends))}; save the one that "
                "is meant by itself"
            )
        raise self._missing(name)

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self._file_of

    def names_with(self, part: str) -> Iterator[str]:
        """The names that begin with ``part``, or have it after a dot."""
        return (name for name in self._file_of if f".{part}" in f".{name}")

    def require(self, name: str) -> None:
        """Raise CheckpointError unless there is a tensor of this name."""
        if name not in self._file_of:
            raise self._missing(name)

    def read(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """One tensor, in float32 or, if it is stored so, in float64.

        Raises:
            CheckpointError: it is missing, has another shape, is quantised, or has NaN or
                infinite values.
        """
        self.require(name)
        with safe_open(self._file_of[name], framework="pt") as tensors:
            tensor: Tensor = tensors.get_tensor(name)
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        if tensor.dtype not in (torch.float32, torch.float64):
            raise CheckpointError(
                f"{name} in {self.name} is stored as {tensor.dtype}: quantised weights mean "
                "nothing without their scales; take the checkpoint that was not quantised, or save "
                "it in bfloat16 with the library that quantised it"
            )
        if tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"{name} in {self.name} has shape {list(tensor.shape)}, but by its {CONFIG} it "
                f"should be {list(shape)}; weights and {CONFIG} are not of the same model"
            )
        if known_finite(tensor) is False:
            raise CheckpointError(
                f"{name} in {self._file_of[name]} has NaN or infinite values: {count_bad(tensor)}; "
                "download the file again"
            )
        return tensor

    def _missing(self, name: str) -> CheckpointError:
        near = get_close_matches(name, self._file_of, n=1, cutoff=0)
        quantised = self.settings.section("quantization_config")
        if quantised:
            return CheckpointError(
                f"{self.name} has no tensor {name}: by its {CONFIG} it is quantised "
                f"({quantised.get('quant_method', 'by a method without a name')}), and packed "
                "weights are not read here; take the checkpoint that was not quantised"
            )
        return CheckpointError(
            f"{self.name} has no tensor {name}, which its {CONFIG} asks for"
            + (f"; the nearest of its {len(self._file_of)} is {near[0]}" if near else "")
        )


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not valid JSON ({error}); download it again") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{file} must hold a JSON object, it holds a {type(config).__name__}")
    return config
