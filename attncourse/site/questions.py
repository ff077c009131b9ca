"""Questions to the reader: what predictions and self-tests share, and the self-tests.

    ```{self-test} Which has one matrix?
    :right: 2
    Query and key separate
    : The answer to a reader who chose it.

    Shared
    : ...
    ```

``:right:`` says which choice is right, counted from 1; "Right." or "Not so." is put in front of
each answer.

A question is a group of ``<details>`` of which one is open at a time: no script, and every choice
is reached and opened from the keyboard. What a prediction adds stands in `predictions`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst.directives import positive_int, unchanged
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

SHORT = 12  # characters of a choice that shares its row with the others


class question(nodes.General, nodes.Element):
    """The whole: the prompt, then the choices."""


class prompt(nodes.General, nodes.TextElement):
    """What the reader is asked."""


class choice(nodes.General, nodes.Element):
    """One choice: its label, then the answer to a reader who chose it."""


class choice_label(nodes.General, nodes.TextElement):
    """The text of a choice, which opens its answer."""


class Question(SphinxDirective):
    """A prompt as the argument, the choices with their answers as the content."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    called: ClassVar[str]

    def run(self) -> list[nodes.Node]:
        choices = self.choices()
        whole = self.whole()
        (name,) = whole["ids"]
        whole["classes"] += ["attn-question", f"attn-{self.name}"]
        if all(len(one[0].astext()) <= SHORT for one in choices):
            whole["classes"].append("attn-short")
        text, messages = self.state.inline_text(self.arguments[0], self.lineno)
        whole += prompt("", "", *text, ids=[f"{name}-prompt"], classes=["attn-prompt"])
        for one in choices:
            one["group"] = f"{name}-choice"
            whole += one
        self.set_source_info(whole)
        return [whole, *messages]

    def whole(self) -> question:
        """The node that takes prompt and choices, with the one id that theirs are made from."""
        raise NotImplementedError

    def choices(self) -> list[choice]:
        """The choices that the content declares, refused unless there are two or more."""
        body = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, body)
        lists = [child for child in body if isinstance(child, nodes.definition_list)]
        if len(lists) != 1 or len(body) != 1:
            raise self.error(
                f"{self.called} holds one definition list and nothing else: each choice on a line, "
                "its answer below it after ': '"
            )
        items = [_terms_and_answers(item) for item in lists[0]]
        for terms, answers in items:
            if len(terms) != 1 or len(answers) != 1 or not answers[0].children:
                raise self.error(
                    f"the choice {terms[0].astext()!r} of {self.called} needs exactly one answer "
                    "(a line that begins with ': '), with an empty line before the next choice"
                )
        if len(items) < 2:
            raise self.error(f"{self.called} needs at least two choices, got {len(items)}")
        return [
            choice("", choice_label("", "", *terms[0].children), *answers[0].children)
            for terms, answers in items
        ]


class SelfTest(Question):
    """See the module's docstring."""

    option_spec: ClassVar[dict[str, Any]] = {"name": unchanged, "right": positive_int}
    called = "a self-test"

    def whole(self) -> question:
        whole = question(ids=[f"question-{self.env.new_serialno('question')}"])
        self.add_name(whole)
        return whole

    def choices(self) -> list[choice]:
        choices = super().choices()
        right = self.options.get("right")
        if right is None or right > len(choices):
            raise self.error(
                "a self-test needs a line ':right: N' that says which of its choices is right, "
                f"with N from 1 to {len(choices)}, got {right}"
            )
        for number, one in enumerate(choices, start=1):
            verdict, kind = ("Right.", "right") if number == right else ("Not so.", "wrong")
            one["classes"].append(f"attn-{kind}")
            first = one[1]
            if not isinstance(first, nodes.paragraph):
                first = nodes.paragraph()
                one.insert(1, first)
            first.insert(0, [nodes.strong(verdict, verdict), nodes.Text(" ")])
        return choices


def _terms_and_answers(item: nodes.Node) -> tuple[list[nodes.Element], list[nodes.Element]]:
    return (
        list(item.findall(nodes.term)),
        [child for child in item.children if isinstance(child, nodes.definition)],
    )


def visit_question(self: HTML5Translator, node: question) -> None:
    self.body.append(self.starttag(node, "div", **group_attributes(node)))


def group_attributes(node: question) -> dict[str, Any]:
    """What makes the element of a question a group that its prompt names."""
    (name,) = next(node.findall(prompt))["ids"]
    return {"role": "group", "aria-labelledby": name}


def visit_prompt(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "p", ""))


def visit_choice(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "details", name=node["group"]))


def visit_choice_label(self: HTML5Translator, node: nodes.Element) -> None:
    # One box inside: a summary laid out as a row would take each formula for a column.
    self.body.append(self.starttag(node, "summary", "") + "<span>")


def end(tag: str) -> Any:
    """A visitor that closes the element."""

    def depart(self: HTML5Translator, node: nodes.Element) -> None:
        self.body.append(f"</{tag}>\n")

    return depart


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("self-test", SelfTest)
    app.add_node(question, html=(visit_question, end("div")))
    app.add_node(prompt, html=(visit_prompt, end("p")))
    app.add_node(choice, html=(visit_choice, end("details")))
    app.add_node(choice_label, html=(visit_choice_label, end("span></summary")))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
