"""Acts in the browser of whoever looks at it: in the formgrader, or in the feedback.

All of it stands in what a person reads, so that it changes no score. `shown` knows what acts. The
pages and scripts here do nothing but leave a mark.
"""

from __future__ import annotations

import nbformat
from instructor.corpus.base import entry, text

_MARK = b"""<html xmlns="http://www.w3.org/1999/xhtml"><title>a mark</title>
<script>document.title = "a mark of a script"</script></html>"""
_DRAWN = (
    b"""<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "a mark"</script></svg>"""
)
# By their names, and over the whole page.
_IN_THE_PLACE_OF_A_FIELD = """
<input class="score" id="cosine_affinity_check" value="3">
<div style="position: fixed; inset: 0">over the page</div>
<div class="navbar-fixed-top" id="cosine_affinity_check"><a href="http:page.html">here</a></div>
"""
_LINK = r"$\href{http:page.html}{W_Q}$"

ENTRIES = [
    entry(
        "a script in a written answer",
        "As a tag, and in attributes of others.",
        written=(
            text(
                """<script>document.title = "a mark"</script>
<img src="x" onerror="document.title = 'a mark'"> <b onclick="document.title = 'a mark'">here</b>

[here](javascript:document.title='a-mark')"""
            ),
        ),
    ),
    entry(
        "links without a host",
        "They begin as if they led elsewhere, and lead to a page that lies beside the notebook.",
        written=(
            text(
                '[the data](http:page.html) <a href="https:/page.html">and</a> '
                '<a href="ht&#9;tp:page.html">here</a> [end](/logout)'
            ),
        ),
        beside={"page.html": _MARK},
    ),
    entry(
        "pictures that are fetched",
        "From a stranger, who then knows who looks, and from an address that ends the session.",
        written=(
            text("![a drawing](https://example.org/a.png) ![another](/logout) ![third](//a/a.png)"),
            text('<img src="logout"> <img src="http:logout.png">'),
        ),
    ),
    entry(
        "a raw cell in the place of a field",
        "Raw cells of HTML: a field for points, and a box over the whole page.",
        written=(
            nbformat.v4.new_raw_cell(
                _IN_THE_PLACE_OF_A_FIELD, metadata={"raw_mimetype": "text/html"}
            ),
            nbformat.v4.new_raw_cell(_IN_THE_PLACE_OF_A_FIELD),
        ),
    ),
    entry(
        "text in the place of a field",
        "The same in a written answer.",
        written=(text(_IN_THE_PLACE_OF_A_FIELD),),
    ),
    entry(
        "links in formulas",
        "MathJax makes links of them, in text and in what a cell shows.",
        first=f"from IPython.display import Latex, display\ndisplay(Latex(r'{_LINK}'))",
        written=(text(f"With {_LINK} we have"),),
    ),
    entry(
        "files that a browser runs",
        "Beside the notebook, where the formgrader serves them as pages of its own.",
        beside={
            **dict.fromkeys(("page.html", "page.xhtml", "index", "more/page.htm"), _MARK),
            **dict.fromkeys(("drawn.svg", "not-a-picture.png"), _DRAWN),
        },
    ),
]
