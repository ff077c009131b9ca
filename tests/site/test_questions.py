"""Predictions and self-tests: what an author writes, and what a page holds without a script."""

import re

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from sphinx_build import build_html

GOOD = """# Page

(circle)=
## Circle

```{predict} Can one $W$ learn *all three*?
:name: all-three
All three
: No: $s_{ij} = s_{ji}$. See [the circle](#circle).

  A second paragraph.

`Two` of three
: Yes.

None
: Almost.
```

```{predict} Another?
:name: another
Yes
: It is.

No
: It is not.
```

```{predicted} all-three
```

```{predicted} another
```
"""

# Without formulas: those would ask for Sphinx's own, remote MathJax.
PLAIN = """---
orphan: true
---
# Page

```{self-test} Which?
:right: 1
One
: First.

Two
: Second.

Three
: Third.
```
"""

SELF_TEST = r"""---
orphan: true
---
# Page

```{self-test} Which has *one* matrix?
:right: 2
$W_q$ and `W_k` separate
: It has $W_q$ and $W_k$.

Shared
: All three come from it.

None
: - No list of matrices is this short.
```
"""


def build(folder, index, *options, **others):
    for name, text in {"index": index, **others}.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / "conf.py").write_text(
        'extensions = ["myst_parser", "attncourse.site.predictions", "attncourse.site.roles"]\n'
        'myst_enable_extensions = ["deflist", "dollarmath"]\n'
    )
    return build_html(folder, "-W", *options)


def parsed(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    built = build(folder, GOOD, tested=SELF_TEST, plain=PLAIN)
    assert built.returncode == 0, built.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def page(book):
    return parsed(book / "index.html")


def test_every_choice_is_a_summary_and_its_answer_is_hidden_below_it(page):
    first = page.select_one(".attn-predict")
    assert [s.text.strip() for s in first.select("details > summary")] == [
        "All three",
        "Two of three",
        "None",
    ]
    answers = [d.get_text(" ", strip=True) for d in first.select("details")]
    assert answers[1].endswith("Yes.")
    assert "A second paragraph." in answers[0]
    assert not first.select("details[open]")


def test_choosing_one_closes_the_other_choices_of_the_same_prediction_only(page):
    groups = [{d["name"] for d in p.select("details")} for p in page.select(".attn-predict")]
    assert [len(group) for group in groups] == [1, 1]
    assert groups[0] != groups[1]


def test_the_group_is_named_by_its_question(page):
    for prediction in page.select(".attn-predict"):
        assert prediction["role"] == "group"
        question = page.find(id=prediction["aria-labelledby"])
        assert question.parent is prediction
    assert "Another?" in question.text


def test_markup_works_in_question_choice_and_answer(page):
    first = page.select_one(".attn-predict")
    assert first.select_one(".attn-prompt em").text == "all three"
    assert first.select_one(".attn-prompt .math")
    assert first.select_one("summary code").text == "Two"
    # A row of boxes is what the style sheet makes of a summary: formulas stay inside one.
    assert [len(list(s.children)) for s in first.select("summary")] == [1, 1, 1]
    assert first.select_one("details .math")
    assert first.select_one('details a[href="#circle"]')


def test_a_self_test_says_of_every_choice_whether_it_is_right_and_why(book):
    (test,) = parsed(book / "tested.html").select(".attn-self-test")
    assert test.select_one(".attn-prompt em").text == "one"
    choices = test.select("details")
    assert [c.summary.text.strip() for c in choices] == [
        r"\(W_q\) and W_k separate",
        "Shared",
        "None",
    ]
    assert [c["class"] for c in choices] == [["attn-wrong"], ["attn-right"], ["attn-wrong"]]
    assert [c.strong.text for c in choices] == ["Not so.", "Right.", "Not so."]
    assert choices[1].p.text == "Right. All three come from it."
    assert choices[2].p.text.strip() == "Not so."
    assert choices[2].li.text.strip() == "No list of matrices is this short."
    assert len({c["name"] for c in choices}) == 1


@pytest.mark.browser
def test_all_answers_are_printed(book, open_page):
    page = open_page(book / "plain.html")
    page.add_style_tag(path=ROOT / "book" / "_static" / "questions.css")
    answer = page.locator("details p", has_text="Second.")
    assert not answer.is_visible()
    page.emulate_media(media="print")
    assert answer.is_visible()


@pytest.mark.browser
def test_one_answer_is_open_at_a_time_and_the_keyboard_opens_it(book, open_page):
    page = open_page(book / "plain.html")
    choices = page.locator("details")
    choices.nth(0).locator("summary").click()
    choices.nth(1).locator("summary").focus()
    page.keyboard.press("Enter")
    is_open = choices.evaluate_all("all => all.map(one => one.open)")
    assert is_open == [False, True, False]


# The first line of each question is the eighth of its page.
REFUSED = {
    "one": ("predict", "Yes\n: It is.", "a prediction needs at least two choices, got 1"),
    "none": ("predict", "Just a paragraph.", "a prediction holds one definition list and nothing"),
    "more": (
        "predict",
        "Yes\n: It is.\n\nNo\n: It is not.\n\nAnd a word.",
        "one definition list and nothing else",
    ),
    "two-answers": (
        "predict",
        "Yes\n: It is.\n: It is again.\n\nNo\n: It is not.",
        "'Yes' of a prediction needs exactly",
    ),
    "two-lists": (
        "predict",
        "Yes\n: It is.\n\n% apart\n\nNo\n: It is not.",
        "one definition list and nothing else",
    ),
    "empty": ("predict", "", "one definition list and nothing else"),
    "lone": (
        "self-test",
        ":right: 1\nYes\n: It is.",
        "a self-test needs at least two choices, got 1",
    ),
    **{
        f"right-{number}": ("self-test", f"{option}Yes\n: It is.\n\nNo\n: It is not.", complaint)
        for number, (option, complaint) in enumerate(
            [
                ("", "with N from 1 to 2, got None"),
                (":right: 3\n", "with N from 1 to 2, got 3"),
                (":right: 0\n", "Invalid option value for 'right': 0"),
                (":right: Yes\n", "Invalid option value for 'right': Yes"),
            ]
        )
    },
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    pages = {
        name: f"---\norphan: true\n---\n# Page\n\nText.\n\n```{{{kind}}} Really?\n{content}\n```\n"
        for name, (kind, content, _) in REFUSED.items()
    }
    built = build(tmp_path_factory.mktemp("refused"), "# Index", "--keep-going", **pages)
    assert built.returncode != 0
    return built.stderr


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_question_fails_the_build_and_says_where_and_why(refusals, name):
    *_, complaint = REFUSED[name]
    # A complaint may have several lines: all until that of another page.
    told = re.findall(rf"/{name}\.md:8: (.*?)(?=^/|\Z)", refusals, re.DOTALL | re.MULTILINE)
    assert any(complaint in each for each in told), refusals


def test_colour_words_have_a_class_each(tmp_path):
    built = build(tmp_path, "# Page\n\nA {q}`query`, two {k}`keys`, some {v}`values`.\n")
    assert built.returncode == 0, built.stderr
    page = BeautifulSoup((tmp_path / "out" / "index.html").read_text(), "html.parser")
    words = {c: page.select_one(f"span.attn-{c}").text for c in "qkv"}
    assert words == {"q": "query", "k": "keys", "v": "values"}
