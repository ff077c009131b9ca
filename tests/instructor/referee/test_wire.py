from __future__ import annotations

import contextlib
import json
import math
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import strategies  # noqa: F401  (the profile)
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attncourse.checking.values import Foreign
from attncourse.instructor import limits
from attncourse.instructor.referee.wire import Channel, WireError

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.complex64, torch.complex128, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
]

Pair = tuple[Channel, socket.socket]


@pytest.fixture
def ends() -> Iterator[Pair]:
    """The judge's channel, and a worker's bare end of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), theirs


def there_and_back(message: Any) -> Any:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=Channel(theirs).send, args=[message])
        sender.start()
        received = Channel(ours).receive(time.monotonic() + 20)
        sender.join()
    return received


def received(data: bytes) -> Any:
    """What the judge makes of these bytes, after which nothing comes any more."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=_pour, args=[theirs, data])
        sender.start()
        try:
            return Channel(ours).receive(time.monotonic() + 20)
        finally:
            ours.close()
            sender.join()


def _pour(end: socket.socket, data: bytes) -> None:
    try:
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the judge has heard enough


def framed(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">IQ", len(text), len(body)) + text + body


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if type(value) is str:
        return bool(value.encode() or True)
    return value is None or type(value) in (bool, int, float, torch.Tensor, Foreign)


# ------------------------------------------------------------------------ what is sent arrives


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0, 3), (4, 3, 2), (1, 5, 1)])
def test_tensors_of_every_dtype_and_shape_arrive_as_they_were(
    dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    sent = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
    got = there_and_back({"value": sent})["value"]
    assert got.dtype == dtype
    assert got.shape == shape
    assert torch.equal(got, sent)


@given(st.permutations(range(4)))
def test_the_order_of_axes_in_memory_arrives_too(order: list[int]) -> None:
    sent = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).permute(order)
    got = there_and_back({"value": sent})["value"]
    assert torch.equal(got, sent)
    assert got.stride() == sent.stride()


def test_views_that_share_or_skip_memory_arrive_by_their_values() -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    conjugate = torch.complex(whole, whole).conj()
    sent = [whole[:, ::2], whole[1].expand(3, 6), conjugate, conjugate.imag, whole.t()[2:]]
    for was, got in zip(sent, there_and_back({"values": sent})["values"], strict=True):
        assert torch.equal(got, was)


def test_what_no_number_is_arrives_too() -> None:
    values = [math.inf, -math.inf, 0.0, -0.0, 5e-324]
    got = there_and_back({"tensor": torch.tensor([*values, math.nan]), "plain": values})
    assert got["plain"] == values
    assert math.copysign(1, got["plain"][3]) == -1
    assert got["tensor"][:5].tolist() == torch.tensor(values).tolist()
    assert got["tensor"][5].isnan()
    assert math.isnan(there_and_back({"x": math.nan})["x"])


plain_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64) + 1, 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
    | st.builds(Foreign, st.text(st.characters(codec="utf-8"), min_size=1, max_size=50)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list | tuple) else 0


@given(plain_data.filter(lambda value: _depth(value) < limits.MAX_DEPTH))
def test_plain_data_arrives_as_it_was(data: Any) -> None:
    assert there_and_back({"data": data}) == {"data": data}


def test_messages_come_one_after_the_other(ends: Pair) -> None:
    ours, theirs = ends
    theirs.sendall(framed({"map": [["n", 1]]}) + framed({"map": [["n", 2]]}))
    assert [ours.receive(), ours.receive()] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    "value",
    [object(), {1: 2}, 2**64, b"bytes", torch.zeros(2, dtype=torch.float64).to_sparse, {1, 2}],
    ids=lambda value: type(value).__name__,
)
def test_what_is_neither_tensor_nor_plain_data_is_not_sent(ends: Pair, value: Any) -> None:
    with pytest.raises(WireError):
        ends[0].send({"value": value})


def test_more_than_the_limits_is_not_sent(ends: Pair) -> None:
    nested: Any = 1
    for _ in range(limits.MAX_DEPTH + 1):
        nested = [nested]
    for value in (
        torch.empty(limits.MAX_TENSOR_BYTES + 1, dtype=torch.uint8),
        "x" * limits.MAX_HEADER,
        nested,
    ):
        with pytest.raises(WireError):
            ends[0].send({"value": value})


# ------------------------------------------------------------------- whatever a worker may send


def tensor(**changes: Any) -> dict[str, Any]:
    return {"tensor": "float32", "shape": [2], "order": [0]} | changes


MALFORMED = {
    "no JSON": framed(b"\xff\xfe{"),
    "no text": framed(b'"\xff"'),
    "nothing": framed(b""),
    "cut off": framed({"map": []})[:-1],
    "only a length": struct.pack(">IQ", 5, 0),
    "a header larger than allowed": struct.pack(">IQ", limits.MAX_HEADER + 1, 0),
    "tensors larger than allowed": struct.pack(">IQ", 2, limits.MAX_TENSOR_BYTES + 1) + b"{}",
    "lengths as large as can be": b"\xff" * 12,
    "more bytes than tensors": framed({"map": []}, b"x"),
    "fewer bytes than tensors": framed(tensor(), b"1234567"),
    "a bare list": framed([1, 2]),
    "an object without a mark": framed({}),
    "an object with two marks": framed({"list": [], "tuple": []}),
    "an unknown mark": framed({"pickle": "gASVAAAA"}),
    "a list that is text": framed({"list": "abc"}),
    "a map that is text": framed({"map": "abcd"}),
    "a map of one-sided pairs": framed({"map": [["a"]]}),
    "a map whose key is a number": framed({"map": [[1, 2]]}),
    "a map whose key is a list": framed({"map": [[["a"], 2]]}),
    "a foreign without a name": framed({"foreign": 3}),
    "nested too deeply": framed(b'{"list":[' * 10 + b"]}" * 10),
    "nested deeper than Python can read": framed(b"[" * 200_000 + b"]" * 200_000),
    "a number of thousands of digits": framed(b"9" * 5000),
    "a number beyond 64 bits": framed(b"9" * 40),
    "more values than allowed": framed(b'{"list":[' + b"0," * limits.MAX_VALUES + b"0]}"),
    "no such dtype": framed(tensor(tensor="float8"), bytes(8)),
    "a dtype that is a list": framed(tensor(tensor=["float32"]), bytes(8)),
    "a shape that is a number": framed(tensor(shape=2), bytes(8)),
    "a shape of text": framed(tensor(shape=["2"]), bytes(8)),
    "a shape of fractions": framed(tensor(shape=[2.0]), bytes(8)),
    "a shape of truth": framed(tensor(shape=[True]), bytes(4)),
    "a negative shape": framed(tensor(shape=[-2]), bytes(8)),
    "two negative sizes": framed(tensor(shape=[-2, -1], order=[0, 1]), bytes(8)),
    "a shape larger than memory": framed(tensor(shape=[1 << 62]), bytes(8)),
    "many axes": framed(tensor(shape=[1] * 65, order=list(range(65))), bytes(4)),
    "axes larger than memory": framed(tensor(shape=[1 << 26] * 9, order=list(range(9))), bytes(8)),
    "no order": framed(tensor(order=None), bytes(8)),
    "an order of other axes": framed(tensor(order=[1]), bytes(8)),
    "an order that names an axis twice": framed(tensor(shape=[1, 2], order=[0, 0]), bytes(8)),
    "an order that is text": framed(tensor(order="0"), bytes(8)),
    "an order of truth": framed(tensor(shape=[1, 2], order=[False, True]), bytes(8)),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        received(data)


valid = framed(
    {"map": [["value", tensor()], ["n", 3], ["inputs", {"tuple": [{"foreign": "set"}, 0.5]}]]},
    bytes(8),
)


@given(st.binary(max_size=200))
def test_of_any_bytes_the_judge_makes_plain_data_or_its_own_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert is_plain(received(data))


@given(st.lists(st.tuples(st.integers(0, len(valid) - 1), st.integers(0, 255)), max_size=6))
def test_of_a_message_with_wrong_bytes_too(changes: list[tuple[int, int]]) -> None:
    data = bytearray(valid)
    for at, byte in changes:
        data[at] = byte
    with contextlib.suppress(WireError):
        assert is_plain(received(bytes(data)))


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(["map", "list", "tuple", "foreign", "tensor", "shape", "order"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
        | st.builds(
            lambda name, shape, order: {"tensor": name, "shape": shape, "order": order},
            st.sampled_from(["float32", "bool", "complex64", "uint8"]) | inner,
            st.lists(st.integers(-2, 2**70) | st.integers(0, 3), max_size=4) | inner,
            st.permutations(range(3)) | st.lists(st.integers(0, 3), max_size=4) | inner,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(any_json, st.binary(max_size=64))
def test_of_any_json_and_any_tensors_too(header: Any, body: bytes) -> None:
    with contextlib.suppress(WireError):
        assert is_plain(received(framed(header, body)))


def test_of_two_equal_keys_the_last_counts() -> None:
    assert received(framed(b'{"list":[1],"list":[2]}')) == [2]
    assert received(framed({"map": [["a", 1], ["a", 2]]})) == {"a": 2}


def test_text_that_could_not_be_written_to_a_file_is_made_so_that_it_can() -> None:
    got = received(framed({"map": [["\ud800", "a\udfffb"], ["f", {"foreign": "\ud800"}]]}))
    assert got == {"?": "a?b", "f": Foreign("?")}


def test_a_truth_value_is_true_or_false_whatever_its_byte() -> None:
    got = received(framed(tensor(tensor="bool", shape=[3]), b"\x00\x01\xfe"))
    assert got.view(torch.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize("dtype", ["float32", "bool", "complex64"])
@pytest.mark.parametrize(
    "shape",
    [[limits.MAX_TENSOR_ENTRIES + 1, 0], [0, 1 << 13, (1 << 11) + 1], [1 << 26] * 15 + [0]],
    ids=["rows without columns", "its sizes together", "all of them"],
)
def test_an_empty_tensor_is_as_large_as_its_other_sizes(
    dtype: str, shape: list[int], ends: Pair
) -> None:
    with pytest.raises(WireError, match="too large"):
        received(framed(tensor(tensor=dtype, shape=shape, order=list(range(len(shape))))))
    if len(shape) < 16:  # torch makes none that is larger
        with pytest.raises(WireError, match="too large"):
            ends[0].send({"value": torch.empty(shape)})


def test_tensors_are_counted_and_measured_together() -> None:
    half = tensor(shape=[limits.MAX_TENSOR_ENTRIES // 2, 0], order=[0, 1])
    assert len(received(framed({"list": [half] * 2}))) == 2
    with pytest.raises(WireError, match="too large"):
        received(framed({"list": [half] * 3}))
    small = tensor(shape=[], order=[])
    with pytest.raises(WireError, match="too many"):
        received(framed({"list": [small] * (limits.MAX_TENSORS + 1)}, bytes(4 * 1001)))


def test_values_and_brackets_are_counted_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("json.loads", None)
    for header in (
        b'{"list":[' + b"0," * limits.MAX_VALUES + b"0]}",
        b"[" * (limits.MAX_NESTING + 1),
    ):
        with pytest.raises(WireError, match="too large"):
            received(framed(header))


def test_what_stands_in_text_does_not_count() -> None:
    text = '[{,"\\' * limits.MAX_VALUES
    assert there_and_back({"text": text}) == {"text": text}


def test_what_a_message_promises_takes_no_memory_before_it_comes() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        with pytest.raises(WireError):
            received(struct.pack(">IQ", limits.MAX_HEADER, limits.MAX_TENSOR_BYTES))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10  # KiB


# ------------------------------------------------------------------------------------ deadlines


def test_a_peer_that_drips_bytes_does_not_stretch_the_deadline(ends: Pair) -> None:
    ours, theirs = ends
    stop = threading.Event()

    def drip() -> None:
        for byte in framed("x" * 10_000):
            if stop.wait(0.02):
                return
            theirs.send(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(WireError, match="too long"):
        ours.receive(begun + 0.3)
    # It would take 200 s; the margin is for a machine with much to do.
    assert time.monotonic() - begun < 20
    stop.set()
    thread.join()


def test_a_peer_that_reads_nothing_does_not_stretch_the_deadline(ends: Pair) -> None:
    with pytest.raises(WireError, match="too long"):
        ends[0].send({"x": torch.zeros(1 << 20)}, time.monotonic() + 0.2)


def test_a_deadline_that_is_over_leaves_no_time(ends: Pair) -> None:
    ends[1].sendall(valid)
    with pytest.raises(WireError, match="too long"):
        ends[0].receive(time.monotonic() - 1)


def test_the_end_of_the_other_side_is_noticed(ends: Pair) -> None:
    ends[1].close()
    with pytest.raises(WireError, match="gone"):
        ends[0].receive()
    with pytest.raises(WireError, match="gone"):
        ends[0].send({"x": 1})


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool])
def test_one_element_made_by_expand_arrives(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    sent = torch.as_strided(torch.ones(3, dtype=dtype), shape, (0,) * len(shape))
    assert there_and_back({"value": sent})["value"].equal(sent)
