"""A prediction that the reader commits to before reading on.

    ```{predict} Can one projection learn all three?
    All three
    : What is said to a reader who chose it.

    Two of three
    : ...
    ```

It becomes a group of ``<details>`` of which one is open at a time: no script, and every choice is
reached and opened from the keyboard.
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst.directives import unchanged
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator


class prediction(nodes.General, nodes.Element):
    """The whole: a question, then its choices."""


class question(nodes.General, nodes.TextElement):
    """What the reader is asked."""


class choice(nodes.General, nodes.Element):
    """One answer: what it says, then what is said to a reader who chose it."""


class said(nodes.General, nodes.TextElement):
    """A choice in the reader's words."""


class Predict(SphinxDirective):
    """See the module's docstring."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"name": unchanged}

    def run(self) -> list[nodes.Node]:
        body = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, body)
        lists = [child for child in body if isinstance(child, nodes.definition_list)]
        if len(lists) != 1 or len(body) != 1:
            raise self.error(
                "a prediction holds one definition list and nothing else: each choice on a line, "
                "its answer below it after ': '"
            )
        items = [_terms_and_answers(item) for item in lists[0]]
        for terms, answers in items:
            if len(terms) != 1 or len(answers) != 1 or not answers[0].children:
                raise self.error(
                    f"the choice {terms[0].astext()!r} of a prediction needs exactly one answer "
                    "(a line that begins with ': '), with an empty line before the next choice"
                )
        if len(items) < 2:
            raise self.error(f"a prediction needs at least two choices, got {len(items)}")

        number = self.env.new_serialno("predict")
        name = f"prediction-{number}-question"
        whole = prediction(ids=[f"prediction-{number}"], question=name)
        self.add_name(whole)
        asked, messages = self.state.inline_text(self.arguments[0], self.lineno)
        whole += question("", "", *asked, ids=[name])
        for terms, answers in items:
            one = choice(group=f"prediction-{number}-choice")
            one += said("", "", *terms[0].children)
            one += answers[0].children
            whole += one
        self.set_source_info(whole)
        return [whole, *messages]


def _terms_and_answers(item: nodes.Node) -> tuple[list[nodes.Element], list[nodes.Element]]:
    return (
        list(item.findall(nodes.term)),
        [child for child in item.children if isinstance(child, nodes.definition)],
    )


def visit_prediction(self: HTML5Translator, node: nodes.Element) -> None:
    named = {"aria-labelledby": node["question"]}
    self.body.append(self.starttag(node, "div", CLASS="attn-predict", role="group", **named))


def visit_question(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "p", "", CLASS="attn-predict-question"))


def visit_choice(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "details", name=node["group"]))


def visit_said(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "summary", ""))


def _end(tag: str) -> Any:
    def depart(self: HTML5Translator, node: nodes.Element) -> None:
        self.body.append(f"</{tag}>\n")

    return depart


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("predict", Predict)
    app.add_node(prediction, html=(visit_prediction, _end("div")))
    app.add_node(question, html=(visit_question, _end("p")))
    app.add_node(choice, html=(visit_choice, _end("details")))
    app.add_node(said, html=(visit_said, _end("summary")))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
