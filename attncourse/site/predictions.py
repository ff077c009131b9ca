"""Predictions: the reader commits to one before the run, and the run says which it was.

    ```{predict} Can one projection learn all three?
    :name: all-three
    Yes
    : The answer to a reader who chose it.

    Two of three
    : ...
    ```

and below it, right after the cell or the figure that settles it, once:

    ```{predicted} all-three
    ```

Without a script a prediction is a group of ``<details>``, as a self-test is, and ``{predicted}`` is
a link back to it. With ``predictions.js`` the choices become a form; what the reader commits to
stays in the browser, and the answers stand where the run does.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst.directives import unchanged
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

from attncourse.site.questions import (
    Question,
    choice_label,
    end,
    group_attributes,
    prompt,
    question,
)

logger = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("predictions.js")
SCRIPT = "attn-predictions.js"


class prediction(question):
    """A question that the reader answers before the run. Its name: unique in its page."""


class predicted(nodes.General, nodes.Element):
    """Where a prediction is settled. Its name: that of the prediction."""


class Predict(Question):
    """See the module's docstring."""

    option_spec: ClassVar[dict[str, Any]] = {"name": unchanged}
    called = "a prediction"

    def whole(self) -> question:
        name = self.options.get("name", "")
        if not name or nodes.make_id(name) != name:
            raise self.error(
                "a prediction needs a line ':name: NAME', under which the browser remembers what "
                "the reader committed to: small letters, digits and single hyphens, with a letter "
                f"first, got {name!r}"
            )
        # The page's own label for each would have to be unique in the whole book.
        return prediction(
            ids=[f"prediction-{name}"], prediction=name, key=f"{self.env.docname}#{name}"
        )


class Predicted(SphinxDirective):
    """See the module's docstring."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        words = "What did you predict?"
        link = nodes.reference("", words, refid=f"prediction-{name}", internal=True)
        place = predicted(
            "",
            nodes.paragraph("", "", link),
            ids=[f"predicted-{name}"],
            prediction=name,
            classes=["attn-predicted"],
        )
        self.set_source_info(place)
        return [place]


def edition(asked: prediction) -> str:
    """A short hash of prompt and choices: who answered another question has not answered this."""
    texts = [part.astext() for kind in (prompt, choice_label) for part in asked.findall(kind)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]


def match_places(app: Sphinx, doctree: nodes.document) -> None:
    """Refuse a page unless each prediction is settled once, below it (event doctree-read)."""
    asked: dict[str, prediction] = {}
    settled: set[str] = set()
    for node in doctree.findall(nodes.Element):
        if isinstance(node, prediction):
            name = node["prediction"]
            if name in asked:
                logger.warning("two predictions of this page are named %r", name, location=node)
            asked[name] = node
        elif isinstance(node, predicted):
            name = node["prediction"]
            if name not in asked:
                logger.warning(
                    "no prediction above this place is named %r; above it: %s",
                    name,
                    ", ".join(asked) or "none",
                    location=node,
                )
            elif name in settled:
                logger.warning("the prediction %r is settled twice", name, location=node)
            settled.add(name)
    for name, node in asked.items():
        if name not in settled:
            logger.warning(
                "the prediction %r is not settled: write ```{predicted} %s below it, after the "
                "cell or the figure that does",
                name,
                name,
                location=node,
            )


def visit_prediction(self: HTML5Translator, node: prediction) -> None:
    attributes = group_attributes(node) | {
        "data-key": node["key"],
        "data-edition": edition(node),
        "data-place": f"predicted-{node['prediction']}",
    }
    self.body.append(self.starttag(node, "div", **attributes))


def visit_predicted(self: HTML5Translator, node: predicted) -> None:
    self.body.append(self.starttag(node, "div"))


def write_script(app: Sphinx) -> None:
    """Copy the script below the site's ``_static`` (Sphinx event builder-inited)."""
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SOURCE, static / SCRIPT)


def load_script(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the script in a page that has a prediction (Sphinx event html-page-context)."""
    if doctree and next(doctree.findall(prediction), None):
        # Before MathJax (priority 500), which then finds the formulas where they stay.
        app.add_js_file(SCRIPT, priority=400, defer="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    app.setup_extension("attncourse.site.questions")
    app.add_directive("predict", Predict)
    app.add_directive("predicted", Predicted)
    app.add_node(prediction, html=(visit_prediction, end("div")))
    app.add_node(predicted, html=(visit_predicted, end("div")))
    app.connect("doctree-read", match_places)
    app.connect("builder-inited", write_script)
    app.connect("html-page-context", load_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
