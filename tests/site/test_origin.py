"""What a printed page says that it came from."""

from types import SimpleNamespace

import pytest

from attncourse.site.origin import say_origin

ADDRESS = "https://course.example/book/value.html"
REPOSITORY = "https://host.example/owner/name"


def origin(*, published=False, repository="", suffix=".md"):
    options = {"repository_url": repository, "repository_branch": "main"}
    config = SimpleNamespace(
        html_baseurl="https://course.example" if published else "",
        html_theme_options=options,
        language="en",
    )
    context = {"pageurl": ADDRESS, "page_source_suffix": suffix}
    say_origin(SimpleNamespace(config=config), "book/value", "page.html", context, None)
    return context["attn_origin"]


def test_a_published_page_has_its_own_address():
    assert origin(published=True, repository=REPOSITORY)["address"] == ADDRESS


def test_a_page_that_is_not_published_names_its_source_in_the_repository():
    assert origin(repository=REPOSITORY)["address"] == f"{REPOSITORY}/blob/main/book/value.md"


def test_a_page_without_a_source_names_the_repository():
    assert origin(repository=REPOSITORY, suffix="")["address"] == REPOSITORY


def test_where_nobody_says_where_the_book_is_no_address_is_made_up():
    assert origin()["address"] == ""


@pytest.mark.parametrize(
    ("seconds", "day"), [("0", "1 January 1970"), ("864000", "11 January 1970")]
)
def test_the_day_is_that_of_the_build_or_the_one_that_is_set(monkeypatch, seconds, day):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", seconds)
    assert origin()["date"] == day
