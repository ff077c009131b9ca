"""What is folded away in a cell says what it holds, by one name."""

import json

import pytest
from bs4 import BeautifulSoup
from sphinx_build import build_html

FIGURE = '<div class="attn-figure" role="img" aria-label="A figure">…</div>'
TABLE = '<div class="attn-results"><table>…</table></div>'
EXPLORER = f'<div class="attn-mount" data-explorer="one_head">It needs JavaScript.{FIGURE}</div>'


def cell(*outputs, tag="hide-input"):
    return {
        "cell_type": "code",
        "metadata": {"tags": [tag]},
        "execution_count": 1,
        "source": "code",
        "outputs": [
            {"output_type": "display_data", "metadata": {}, "data": {"text/html": html}}
            for html in outputs
        ],
    }


CELLS = {
    "The code of this figure": cell(FIGURE),
    "The code of this table": cell(TABLE),
    "The code of this explorer": cell(EXPLORER),  # and not of the figure inside
    "The code of this table and this figure": cell(TABLE, FIGURE, FIGURE),
    "The code of this result": cell("<p>Something else</p>"),
    "Code that prepares what follows": cell(),
    "The whole <table>": cell(TABLE, tag="hide-output"),
}


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    title = {"cell_type": "markdown", "metadata": {}, "source": "# Page"}
    page = {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {
            "language_info": {"name": "python", "pygments_lexer": "python"},
            "mystnb": {"code_prompt_show": "The whole <table>"},
        },
        "cells": [title, *CELLS.values()],
    }
    (folder / "index.ipynb").write_text(json.dumps(page), encoding="utf-8")
    (folder / "conf.py").write_text(
        "extensions = ['myst_nb', 'attncourse.site.folds']\nnb_execution_mode = 'off'\n"
    )
    done = build_html(folder, "-W")
    assert done.returncode == 0, done.stderr
    html = (folder / "out" / "index.html").read_text("utf-8")
    return BeautifulSoup(html, "html.parser").select("details.hide")


def test_a_fold_is_named_by_what_it_holds(folds):
    assert [fold.summary.get_text(strip=True) for fold in folds] == list(CELLS)


def test_a_fold_has_one_name_open_or_closed(folds):
    for fold in folds:
        assert len(fold.select("summary p")) == 1
        assert not fold.select("summary[aria-label], .collapsed, .expanded")
