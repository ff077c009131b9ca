"""Predictions: the build's part, and what the script makes of one in a browser."""

import re

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from sphinx_build import build_html

CONF = """
extensions = ["myst_parser", "attncourse.site.predictions"]
myst_enable_extensions = ["deflist"]
html_static_path = [{static!r}]
html_css_files = ["questions.css"]
templates_path = ["templates"]
"""
# Of the course's layout only the place that the script is given in the page's foot.
LAYOUT = """{% extends "!layout.html" %}
{% block footer %}<footer><div class="attn-forget"></div></footer>{% endblock %}
"""
PREDICTION = """```{{predict}} {asked}
:name: {name}
*One*
: The first {answer}.

Two
: The second {answer}.

Three
: The third {answer}.
```
"""


def prediction(name, asked="Which?", answer="answer"):
    return PREDICTION.format(name=name, asked=asked, answer=answer)


def settled(name):
    return f"\nThe run.\n\n```{{predicted}} {name}\n```\n"


SELF_TEST = """
```{self-test} Which is right?
:right: 1
The former
: It is.

The latter
: It is not.
```
"""
WHICH = prediction("which")
PAGES = {
    "index": "# Index\n\n"
    + WHICH
    + prediction("other", "And?", "reply")
    + settled("which")
    # Far enough below for a page that jumps to be seen to do so.
    + "\n\nText.\n" * 60
    + settled("other")
    + SELF_TEST,
    "same": "# Another answer\n\n" + prediction("which", answer="outcome") + settled("which"),
    "reworded": "# Another choice\n\n" + WHICH.replace("Three", "Four") + settled("which"),
    "reordered": "# Another order\n\n"
    + WHICH.replace("Two", "2").replace("Three", "Two").replace("2", "Three")
    + settled("which"),
    "asked": "# Another prompt\n\n" + prediction("which", "Which one?") + settled("which"),
    "none": "# No prediction\n" + SELF_TEST,
}


def build(folder, pages, *options):
    (folder / "conf.py").write_text(CONF.format(static=str(ROOT / "book" / "_static")))
    (folder / "templates").mkdir()
    (folder / "templates" / "layout.html").write_text(LAYOUT)
    for name, text in pages.items():
        orphan = "" if name == "index" else "---\norphan: true\n---\n"
        (folder / f"{name}.md").write_text(orphan + text, encoding="utf-8")
    return build_html(folder, "-W", *options)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    built = build(folder, PAGES)
    assert built.returncode == 0, built.stderr
    return folder / "out"


def parsed(page):
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def test_without_the_script_it_is_what_it_was_and_its_place_is_a_link_to_it(book, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((book / "index.html").as_uri())
    which = page.locator("#prediction-which")
    assert which.locator("summary").all_inner_texts() == ["One", "Two", "Three"]
    assert not page.get_by_text("The second answer.").is_visible()
    which.get_by_text("Two").click()
    assert page.get_by_text("The second answer.").is_visible()
    page.locator("#predicted-other a").click()
    assert page.url.endswith("#prediction-other")
    assert page.locator("button").count() == 0
    context.close()


def test_the_edition_changes_with_prompt_and_choices_and_not_with_the_answers(book):
    editions = {
        name: parsed(book / f"{name}.html").select_one("#prediction-which")["data-edition"]
        for name in PAGES
        if name != "none"
    }
    assert editions.pop("index") == editions.pop("same")
    assert len(set(editions.values())) == 3
    assert all(re.fullmatch("[0-9a-f]{8}", edition) for edition in editions.values())


def test_only_a_page_with_a_prediction_loads_the_script(book):
    scripts = {
        name: [
            s for s in parsed(book / f"{name}.html").select("script[src]") if "attn-" in s["src"]
        ]
        for name in ("index", "none")
    }
    assert len(scripts["index"]) == 1
    assert scripts["index"][0].has_attr("defer")
    assert scripts["none"] == []


REFUSED = {
    "nameless": (WHICH.replace(":name: which\n", ""), 6, "a line ':name: NAME'.* got ''"),
    "misnamed": (WHICH.replace(": which", ": Which one"), 6, "small letters.* got 'Which one'"),
    "open": (WHICH, 6, "the prediction 'which' is not settled: write ```{predicted} which below"),
    "twice": (WHICH + settled("which") * 2, 25, "the prediction 'which' is settled twice"),
    "before": (settled("which") + WHICH, 9, "above this place is named 'which'; above it: none"),
    "unknown": (
        WHICH + settled("which") + settled("witch"),
        25,
        "above this place is named 'witch'; above it: which",
    ),
    "namesakes": (WHICH * 2 + settled("which"), 17, "two predictions of this page .* 'which'"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    pages = {name: f"# Page\n\n{text}" for name, (text, _, _) in REFUSED.items()}
    built = build(tmp_path_factory.mktemp("refused"), {"index": "# Index", **pages}, "--keep-going")
    assert built.returncode != 0
    return built.stderr.splitlines()


@pytest.mark.parametrize("name", REFUSED)
def test_a_page_is_refused_unless_each_prediction_has_a_name_and_one_place_below(refusals, name):
    _, line, complaint = REFUSED[name]
    told = [refusal for refusal in refusals if f"/{name}.md:" in refusal]
    assert any(re.search(rf"/{name}.md:{line}: .*{complaint}", each) for each in told), told


@pytest.fixture
def page(open_page, book):
    return open_page(book / "index.html")


def commit(page, choice, name="which"):
    page.locator(f"#prediction-{name}").get_by_text(choice, exact=True).click()
    page.locator(f"#prediction-{name}").get_by_role("button", name="Commit").click()


def place(page, name="which"):
    return page.locator(f"#predicted-{name}")


def lines(shown):
    return [line for line in shown.inner_text().split("\n") if line]


@pytest.mark.browser
def test_a_choice_can_be_changed_until_it_is_committed_to_and_no_answer_shows_before(page):
    which = page.locator("#prediction-which")
    button, said = which.get_by_role("button", name="Commit"), which.get_by_role("status")
    assert button.get_attribute("aria-disabled") == "true"
    assert button.get_attribute("aria-describedby") == said.get_attribute("id")
    assert said.inner_text().startswith("Choose one first.")
    button.click(force=True)  # past Playwright, which waits until it is enabled
    assert which.get_by_role("radio", checked=True).count() == 0
    assert button.is_visible()
    for choice in ("One", "Three"):
        which.get_by_label(choice).check()
        assert which.get_by_role("radio", checked=True).count() == 1
        assert button.get_attribute("aria-disabled") == "false"
        assert said.inner_text() == "You can change it until you commit."
    assert not page.get_by_text("answer.").locator("visible=true").count()
    button.click()
    assert not button.is_visible()
    assert [radio.is_disabled() for radio in which.get_by_role("radio").all()] == [True] * 3
    assert which.get_by_role("radio").nth(2).is_checked()
    assert said.inner_text() == "Committed. The run below says what happens."


@pytest.mark.browser
def test_the_run_says_what_was_predicted_then_its_answer_and_keeps_the_others_closed(page):
    commit(page, "Two")
    run = place(page)
    assert lines(run) == [
        "You predicted:",
        "Two",
        "The second answer.",
        "The answers to the other choices",
    ]
    run.get_by_text("other choices").click()
    assert lines(run.locator("details")) == [
        "The answers to the other choices",
        "One",
        "The first answer.",
        "Three",
        "The third answer.",
    ]
    # The markup of a choice is kept on both sides.
    assert [
        page.locator(f"#{side}-which em").inner_text() for side in ("prediction", "predicted")
    ] == ["One"] * 2


@pytest.mark.browser
def test_who_has_not_predicted_is_told_so_and_may_open_the_answers(page):
    run = place(page, "other")
    assert lines(run) == [
        "You have not predicted yet",
        "The answers to all choices",
    ]
    run.locator("summary").click()
    assert run.get_by_text("The first reply.").is_visible()
    run.get_by_role("link").click()
    assert page.url.endswith("#prediction-other")
    # The next press of Tab is there, too.
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "prediction-other"


@pytest.mark.browser
def test_what_was_committed_to_is_there_after_a_reload_and_each_prediction_has_its_own(page):
    commit(page, "Two")
    page.reload()
    assert place(page).get_by_text("The second answer.").is_visible()
    assert place(page, "other").get_by_text("You have not predicted yet").is_visible()
    commit(page, "One", "other")
    page.reload()
    chosen = page.locator("input:checked").evaluate_all(
        "all => all.map(r => r.parentElement.textContent)"
    )
    assert chosen == ["Two", "One"]
    assert page.locator("[type=radio]:enabled").count() == 0


@pytest.mark.browser
def test_a_choice_that_was_not_committed_to_is_not_kept(page):
    page.locator("#prediction-which").get_by_text("Two").click()
    page.reload()
    assert page.locator("input:checked").count() == 0


@pytest.mark.browser
def test_another_page_or_another_edition_asks_anew(page, book):
    commit(page, "Two")
    (key,) = page.evaluate("Object.keys(localStorage)")
    assert key == "attn-prediction:index#which"
    page.goto((book / "reworded.html").as_uri())
    assert page.get_by_text("You have not predicted yet").is_visible()
    page.evaluate(
        "localStorage['attn-prediction:reworded#which'] = localStorage['attn-prediction:index#which']"
    )
    page.reload()
    assert page.get_by_text("You have not predicted yet").is_visible()
    page.goto((book / "same.html").as_uri())
    page.evaluate(
        "localStorage['attn-prediction:same#which'] = localStorage['attn-prediction:index#which']"
    )
    page.reload()
    assert page.get_by_text("The second outcome.").is_visible()


@pytest.mark.browser
@pytest.mark.parametrize("kept", ["", "rubbish", "EDITION:", "EDITION:3", "EDITION:length"])
def test_what_is_kept_and_makes_no_sense_is_as_nothing(page, kept):
    page.evaluate(
        "kept => localStorage['attn-prediction:index#which'] = kept.replace('EDITION',"
        " document.querySelector('#prediction-which').dataset.edition)",
        kept,
    )
    page.reload()
    assert place(page).get_by_text("You have not predicted yet").is_visible()
    commit(page, "Two")
    assert place(page).get_by_text("The second answer.").is_visible()


@pytest.mark.browser
def test_the_keyboard_alone_chooses_commits_reads_and_forgets(page):
    def focused(what="textContent"):
        return page.evaluate(f"document.activeElement.{what}")

    page.locator("#prediction-which input").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")  # does not commit
    assert page.locator("input:disabled").count() == 0
    page.keyboard.press("Tab")
    assert focused() == "Commit"
    page.keyboard.press("Enter")
    assert focused() == "The run below"
    page.keyboard.press("Enter")
    assert page.url.endswith("#predicted-which")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert place(page).get_by_text("The third answer.").is_visible()
    page.get_by_role("button", name="Forget my predictions").focus()
    page.keyboard.press("Enter")
    assert focused() == "Keep them"
    page.keyboard.press("Escape")
    assert focused() == "Forget my predictions"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused() == "Forget them"
    page.keyboard.press("Enter")
    assert focused() == "One prediction forgotten."


@pytest.mark.browser
def test_all_predictions_are_forgotten_after_a_question_and_nothing_else(page, book):
    offer = page.get_by_role("button", name="Forget my predictions")
    said = page.locator(".attn-forget [role=status]")
    assert not offer.is_visible()
    page.evaluate("localStorage.mode = 'dark'")
    commit(page, "Two")
    assert offer.is_visible()
    page.goto((book / "same.html").as_uri())
    commit(page, "One")
    offer.click()
    assert page.get_by_role(
        "group", name="Forget all 2 predictions that this browser keeps?"
    ).is_visible()
    page.get_by_role("button", name="Keep them").click()
    assert place(page).get_by_text("The first outcome.").is_visible()
    page.reload()
    offer.click()
    page.get_by_role("button", name="Forget them").click()
    assert said.inner_text() == "2 predictions forgotten."
    assert not offer.is_visible()
    assert place(page).get_by_text("You have not predicted yet").is_visible()
    assert page.locator("input:disabled, input:checked").count() == 0
    assert page.evaluate("({...localStorage})") == {"mode": "dark"}
    commit(page, "Two")
    assert place(page).get_by_text("The second outcome.").is_visible()
    assert said.inner_text() == ""
    page.goto((book / "index.html").as_uri())
    assert place(page).get_by_text("You have not predicted yet").is_visible()


@pytest.mark.browser
def test_two_tabs_of_one_page_agree(page, book):
    other = page.context.new_page()
    other.goto((book / "index.html").as_uri())
    other.locator("#prediction-other").get_by_text("Two").click()
    commit(page, "Three")
    place(other).get_by_text("The third answer.").wait_for()
    # What was not yet committed to is left as it was.
    assert other.locator("#prediction-other input").nth(1).is_checked()
    page.get_by_role("button", name="Forget my predictions").click()
    page.get_by_role("button", name="Forget them").click()
    place(other).get_by_text("You have not predicted yet").wait_for()
    other.close()


@pytest.mark.browser
def test_who_comes_back_to_a_page_finds_what_was_done_meanwhile(page):
    commit(page, "Three")
    # As after a visit of another page: a browser may show this one again without loading it.
    page.evaluate("localStorage.clear()")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert place(page).get_by_text("You have not predicted yet").is_visible()
    assert not page.get_by_role("button", name="Forget my predictions").is_visible()


@pytest.mark.browser
@pytest.mark.parametrize(
    "refusal",
    [
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied') } })",
        "Storage.prototype.setItem = () => { throw new Error('full') }",
        "Object.defineProperty(window, 'localStorage', { value: null })",
    ],
)
def test_a_browser_that_keeps_nothing_breaks_nothing(chromium, book, refusal):
    context = chromium.new_context()
    context.add_init_script(refusal)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(error.stack))
    page.goto((book / "index.html").as_uri())
    commit(page, "Two")
    said = page.locator("#prediction-which").get_by_role("status").inner_text()
    assert "the choice is forgotten when you leave" in said
    assert place(page).get_by_text("The second answer.").is_visible()
    commit(page, "One", "other")
    assert place(page).get_by_text("The second answer.").is_visible()
    assert not page.get_by_role("button", name="Forget my predictions").is_visible()
    page.reload()
    assert place(page).get_by_text("You have not predicted yet").is_visible()
    # Sphinx's own script does not reckon with this; ours stands on its own.
    assert not [stack for stack in errors if "attn-predictions" in stack]
    context.close()


@pytest.mark.browser
@pytest.mark.parametrize("committed", [False, True])
def test_all_answers_are_printed_and_no_button_is(page, committed):
    if committed:
        commit(page, "Two")
    page.emulate_media(media="print")
    for answer in ("The first answer.", "The second answer.", "The third answer."):
        assert page.get_by_text(answer, exact=True).is_visible()
    assert page.get_by_role("button").locator("visible=true").count() == 0
    assert place(page).get_by_text("You predicted").locator("visible=true").count() == committed
    assert page.get_by_text("You have not predicted yet").locator("visible=true").count() == 0


@pytest.mark.browser
def test_a_self_test_answers_at_a_click(page):
    page.locator(".attn-self-test").get_by_text("The latter").click()
    assert page.get_by_text("It is not.").is_visible()
    assert page.locator(".attn-self-test :is(input, button)").count() == 0
