"""The prediction that a reader commits to: what an author writes, and what a page holds."""

import subprocess
import sys

import pytest
from bs4 import BeautifulSoup

GOOD = """# Page

(circle)=
## Circle

```{predict} Can one $W$ learn *all three*?
All three
: No: $s_{ij} = s_{ji}$. See [the circle](#circle).

  A second paragraph.

`Two` of three
: Yes.

None
: Almost.
```

```{predict} Another?
Yes
: It is.

No
: It is not.
```
"""

# Without formulas: those would ask for Sphinx's own, remote MathJax.
PLAIN = """# Page

```{predict} Which?
One
: First.

Two
: Second.

Three
: Third.
```
"""


def build(folder, text):
    (folder / "index.md").write_text(text, encoding="utf-8")
    (folder / "conf.py").write_text(
        'extensions = ["myst_parser", "attncourse.site.predict", "attncourse.site.roles"]\n'
        'myst_enable_extensions = ["deflist", "dollarmath"]\n'
    )
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", folder, folder / "out"],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    built = build(folder, GOOD)
    assert built.returncode == 0, built.stderr
    return BeautifulSoup((folder / "out" / "index.html").read_text(), "html.parser")


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
    assert first.select_one(".attn-predict-question em").text == "all three"
    assert first.select_one(".attn-predict-question .math")
    assert first.select_one("summary code").text == "Two"
    assert first.select_one("details .math")
    assert first.select_one('details a[href="#circle"]')


@pytest.mark.browser
def test_one_answer_is_open_at_a_time_and_the_keyboard_opens_it(tmp_path, open_page):
    assert build(tmp_path, PLAIN).returncode == 0
    page = open_page(tmp_path / "out" / "index.html")
    choices = page.locator(".attn-predict").first.locator("details")
    choices.nth(0).locator("summary").click()
    choices.nth(1).locator("summary").focus()
    page.keyboard.press("Enter")
    is_open = choices.evaluate_all("all => all.map(one => one.open)")
    assert is_open == [False, True, False]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("Yes\n: It is.", "at least two choices, got 1"),
        ("Just a paragraph.", "one definition list and nothing else"),
        (
            "Yes\n: It is.\n\nNo\n: It is not.\n\nAnd a word.",
            "one definition list and nothing else",
        ),
        (
            "Yes\n: It is.\n: It is again.\n\nNo\n: It is not.",
            "'Yes' of a prediction needs exactly",
        ),
        ("", "one definition list and nothing else"),
    ],
)
def test_a_malformed_prediction_fails_the_build_and_says_where_and_why(
    tmp_path, content, complaint
):
    built = build(tmp_path, f"# Page\n\nText.\n\n```{{predict}} Really?\n{content}\n```\n")
    assert built.returncode != 0
    assert "index.md:5" in built.stderr
    assert complaint in built.stderr


def test_colour_words_have_a_class_each(tmp_path):
    built = build(tmp_path, "# Page\n\nA {q}`query`, two {k}`keys`, some {v}`values`.\n")
    assert built.returncode == 0, built.stderr
    page = BeautifulSoup((tmp_path / "out" / "index.html").read_text(), "html.parser")
    words = {c: page.select_one(f"span.attn-{c}").text for c in "qkv"}
    assert words == {"q": "query", "k": "keys", "v": "values"}


def test_punctuation_stays_on_the_line_of_its_formula(tmp_path):
    (tmp_path / "index.md").write_text("# P\n\nIf $x > y$, then **not** $y > x$.\n\n$z$ alone\n")
    (tmp_path / "conf.py").write_text(
        'extensions = ["myst_parser", "attncourse.site.typography"]\n'
        'myst_enable_extensions = ["dollarmath"]\n'
    )
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", tmp_path, tmp_path / "out"],
        check=True,
    )
    page = BeautifulSoup((tmp_path / "out" / "index.html").read_text(), "html.parser")
    assert [s.text for s in page.select(".attn-unbroken")] == [r"\(x > y\),", r"\(y > x\)."]
    sentence = page.select_one("section p").text
    assert sentence == r"If \(x > y\), then not \(y > x\)."
