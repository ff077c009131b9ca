"""What crosses between the judge and a worker: tensors and plain data, within limits, no pickle.

A message is a JSON header and the bytes of its tensors, each preceded by its length. The judge
reads whatever bytes a student's process sends, so reading raises nothing but `WireError`, keeps
nothing before its size has been checked, and gives nothing that could not be written to a file.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from attncourse.checking.values import Foreign, Value
from attncourse.instructor import bounded_json, limits

_LENGTHS = struct.Struct(">IQ")
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.complex64, torch.complex128, torch.bool),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    )
}


class WireError(Exception):
    """What came is not a message of ours: too large, cut off, malformed, or too late."""


class Channel:
    """One end of a socket over which messages go. Not for more than one thread."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(self, message: Mapping[str, Any], deadline: float | None = None) -> None:
        """Send plain data in which tensors may stand at any depth.

        Args:
            deadline: by `time.monotonic()`; None waits for as long as it takes.

        Raises:
            WireError: it cannot be sent: a wrong kind of value, or the other end is gone.
        """
        tensors: list[bytes] = []
        header = json.dumps(_encoded(message, tensors, 0)).encode()
        body = b"".join(tensors)
        if len(header) > limits.MAX_HEADER or len(body) > limits.MAX_TENSOR_BYTES:
            raise WireError(f"a message of {len(header) + len(body)} bytes is too large")
        try:
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(_LENGTHS.pack(len(header), len(body)) + header + body)
        except TimeoutError:
            raise WireError("it took too long") from None
        except OSError as error:
            raise WireError(f"the other end is gone ({error})") from None

    def receive(self, deadline: float | None = None) -> Any:
        """The next message.

        Raises:
            WireError: as the class says, whatever bytes arrive.
        """
        try:
            header_size, body_size = _LENGTHS.unpack(self._exactly(_LENGTHS.size, deadline))
            if header_size > limits.MAX_HEADER or body_size > limits.MAX_TENSOR_BYTES:
                raise WireError(f"a message of {header_size + body_size} bytes is too large")
            header = self._exactly(header_size, deadline)
            body = self._exactly(body_size, deadline)
            content = bounded_json.loads(header, values=limits.MAX_VALUES, depth=limits.MAX_NESTING)
            return _Reader(body).message(content)
        except WireError:
            raise
        except bounded_json.TooMuch as reason:
            raise WireError(f"the message is too large: {reason}") from None
        except Exception as error:  # whatever json or torch say to whatever was sent
            raise WireError(f"the message makes no sense ({type(error).__name__})") from None

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor, to wait for several channels."""
        return self._socket.fileno()

    def _exactly(self, size: int, deadline: float | None) -> bytearray:
        received = bytearray()
        while len(received) < size:
            self._socket.settimeout(_left(deadline))
            try:
                part = self._socket.recv(min(size - len(received), 1 << 20))
            except TimeoutError:
                raise WireError("it took too long") from None
            if not part:
                raise WireError("the other end is gone")
            received += part
        return received


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise WireError("it took too long")
    return left


def _encoded(value: Value, tensors: list[bytes], depth: int) -> Any:
    if depth > limits.MAX_DEPTH:
        raise WireError("the data is nested too deeply")
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int:
        if abs(value) >= limits.MAX_INTEGER:
            raise WireError("the number is too large")
        return value
    if isinstance(value, Foreign):
        return {"foreign": value.type_name}
    if isinstance(value, Tensor):
        name = str(value.dtype).removeprefix("torch.")
        if name not in _DTYPES:
            return {"foreign": f"tensor of {name}"}
        if _entries(value.shape) > limits.MAX_TENSOR_ENTRIES:
            raise WireError("the tensor is too large")
        # Whether an input lies in memory in the order of its axes is part of what a case tests.
        strides = value.stride()
        order = sorted(range(value.ndim), key=lambda axis: -strides[axis])
        flat = value.detach().cpu().permute(order).contiguous().resolve_conj().resolve_neg()
        flat = flat.reshape(-1)
        if flat.numel() and flat.stride(0) != 1:
            # One element made by `expand` counts as contiguous, and cannot be viewed as bytes.
            flat = flat.clone(memory_format=torch.contiguous_format)
        tensors.append(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        return {"tensor": name, "shape": list(value.shape), "order": order}
    if isinstance(value, Mapping):
        pairs = [[_text(key), _encoded(each, tensors, depth + 1)] for key, each in value.items()]
        return {"map": pairs}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encoded(each, tensors, depth + 1) for each in value]}
    raise WireError(f"a {type(value).__name__} cannot be sent")


class _Reader:
    """Turns a header back into data, taking the tensors' bytes from the body in turn."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self._at = 0
        self._tensors, self._room = limits.MAX_TENSORS, limits.MAX_TENSOR_ENTRIES

    def message(self, header: Any) -> Any:
        value = self._decoded(header, 0)
        if self._at != len(self._body):
            raise WireError("there are more bytes than tensors")
        return value

    def _decoded(self, node: Any, depth: int) -> Value:
        if depth > limits.MAX_DEPTH:
            raise WireError("the data is nested too deeply")
        if not isinstance(node, dict):
            if isinstance(node, list):
                raise WireError("a bare list is not a value")
            if isinstance(node, int) and abs(node) >= limits.MAX_INTEGER:
                raise WireError("a number is too large")
            return _text(node) if isinstance(node, str) else node
        if node.keys() == {"tensor", "shape", "order"}:
            return self._tensor(node["tensor"], node["shape"], node["order"])
        ((kind, content),) = node.items()
        if kind == "foreign":
            return Foreign(_text(content)[: limits.MAX_TYPE_NAME] or "object")
        if kind == "map" and isinstance(content, list):
            return {_text(key): self._decoded(each, depth + 1) for key, each in content}
        if kind in ("list", "tuple") and isinstance(content, list):
            values = [self._decoded(each, depth + 1) for each in content]
            return values if kind == "list" else tuple(values)
        raise WireError(f"no value is marked {str(kind)[:40]!r}")

    def _tensor(self, name: Any, shape: Any, order: Any) -> Tensor:
        dtype = _DTYPES[name]
        if (
            not isinstance(shape, list)
            or len(shape) > limits.MAX_DIMENSIONS
            or not all(type(size) is int and 0 <= size <= limits.MAX_TENSOR_BYTES for size in shape)
            or not isinstance(order, list)
            or not all(type(axis) is int for axis in order)
            or sorted(order) != list(range(len(shape)))
        ):
            raise WireError("a tensor has no such shape")
        self._tensors -= 1
        self._room -= _entries(shape)
        if min(self._tensors, self._room) < 0:
            raise WireError("the tensors are too many, or too large")
        size = math.prod(shape) * dtype.itemsize
        raw = self._body[self._at : self._at + size]
        if len(raw) != size:
            raise WireError("a tensor has fewer bytes than its shape says")
        self._at += size
        if size == 0:
            return torch.empty(shape, dtype=dtype)
        flat = torch.frombuffer(raw, dtype=torch.uint8)
        # Any byte but 0 and 1 would be an undefined boolean.
        typed = flat.ne(0) if dtype == torch.bool else flat.view(dtype)
        back = [order.index(axis) for axis in range(len(order))]
        return typed.reshape([shape[axis] for axis in order]).permute(back)


def _entries(shape: Sequence[int]) -> int:
    """As many as there are, where an empty axis does not make the others free: what goes along
    them finds nothing to read, and is as long about it as they are.
    """
    return math.prod(max(size, 1) for size in shape)


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise WireError("a name must be text")
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written
