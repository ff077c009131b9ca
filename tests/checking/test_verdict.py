"""A verdict in a terminal and in a notebook."""

import re
from html.parser import HTMLParser

import pytest
import torch
from IPython.core.formatters import DisplayFormatter

from attncourse.grading import check

ITEM = "ps1.cosine_affinity"


def right(x, y=None):
    unit = torch.nn.functional.normalize
    return unit(x, dim=-1) @ unit(x if y is None else y, dim=-1).mT


def broken(x, y=None):
    print("<script>alert('printed')</script>")
    raise ValueError("<img src=x onerror=alert(1)>")


class Page(HTMLParser):
    """Tags in order, attributes, visible text; fails on a tag that is closed out of turn."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("answer", [right, broken, None, lambda x, y=None: x @ x.mT])
def test_a_notebook_gets_both_forms(answer):
    data, _ = DisplayFormatter().format(check(ITEM, answer))
    assert {"text/plain", "text/html"} <= data.keys()
    first_line = data["text/plain"].splitlines()[0]
    page = Page(data["text/html"])
    assert first_line in page.text
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_what_a_student_wrote_is_shown_and_not_interpreted():
    page = Page(check(ITEM, broken)._repr_html_())
    assert "<img src=x onerror=alert(1)>" in page.text
    assert "<script>alert('printed')</script>" in page.text


def test_the_panel_sets_no_colour_of_text_or_background():
    """Whatever colour is set would be unreadable on the other kind of page."""
    html = check(ITEM, broken)._repr_html_()
    colours = re.findall(r"(?<![\w-])(color|background)\s*:\s*([^;\"]+)", html)
    assert colours
    assert {value for _, value in colours} <= {"inherit", "none"}


def test_the_outcome_of_each_case_is_said_in_words():
    verdict = check(ITEM, lambda x, y=None: x @ x.mT)
    page = Page(verdict._repr_html_())
    assert page.text.count("failed") >= sum(not case.passed for case in verdict.cases) > 0
    for case in verdict.cases:
        assert case.name in page.text


@pytest.mark.parametrize(
    ("answer", "headline"),
    [
        (right, "ps1.cosine_affinity: passed, 3 of 3 points"),
        (lambda x, y=None: right(x), "ps1.cosine_affinity: in part, 2 of 3 points"),
        (lambda x, y=None: x, "ps1.cosine_affinity: not there yet, 0 of 3 points"),
    ],
)
def test_the_first_line_says_what_it_earns(answer, headline):
    verdict = check(ITEM, answer)
    assert str(verdict).splitlines()[0] == headline
    assert repr(verdict) == str(verdict)
