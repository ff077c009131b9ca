"""What is too much is known before it is parsed, and what is not is read as ever."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attncourse.instructor.bounded_json import TooMuch, loads

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def values_in(document):
    """All but the first, and the names of an object's values with these."""
    inner = document.values() if isinstance(document, dict) else document
    return sum(1 + values_in(each) for each in inner) if isinstance(document, list | dict) else 0


def depth_of(document):
    inner = document.values() if isinstance(document, dict) else document
    if isinstance(document, list | dict):
        return 1 + max(map(depth_of, inner), default=0)
    return 0


@given(any_json, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le"]))
def test_values_and_depth_are_counted_as_they_are(document, escaped, encoding):
    content = json.dumps(document, ensure_ascii=escaped).encode(encoding, "surrogatepass")
    values, depth = values_in(document), depth_of(document)
    assert loads(content, values=2 * values + 1, depth=depth) == document
    if depth:
        with pytest.raises(TooMuch, match="deep"):
            loads(content, values=2 * values + 1, depth=depth - 1)
    if values:
        with pytest.raises(TooMuch, match="values"):
            loads(content, values=values - 1, depth=depth)


@pytest.mark.parametrize(
    "content",
    [
        *(b"[" * 9, b"{" * 9, b'{"a":' * 9, b"[0," * 9, b"[]" * 9, b"," * 9),
        *(b'["' + b'\\"' * 9 + b'",' + b"0," * 9, b'["' + b"\\\\" * 9 + b'",' + b"0," * 9),
        b'""' * 40,
    ],
)
def test_what_is_too_much_is_not_parsed_whether_it_is_json_or_not(content, monkeypatch):
    monkeypatch.setattr("json.loads", None)
    with pytest.raises(TooMuch):
        loads(content, values=8, depth=8)


@pytest.mark.parametrize("text", [",[{" * 9, '",[' * 9, "\\" * 9 + ",[{" * 9, '\\"[[[' * 9])
def test_what_stands_in_a_string_is_no_value(text):
    assert loads(json.dumps([text, text]).encode(), values=2, depth=1) == [text, text]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{", b'"', b'"\\', b"[1", b"\x80"])
def test_what_is_no_json_raises_what_json_raises(content):
    with pytest.raises(ValueError):
        loads(content, values=9, depth=9)
