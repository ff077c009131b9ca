"""Formulas on one line: what a reader would type, and what a card shows."""

import pytest

from attncourse.site.formulas import as_html, as_text

TEXT = {
    r"d_{model}": "d_model",
    r"W_q^\top W_k": "W_qᵀ W_k",
    r"A^{-\top}": "A^−ᵀ",
    r"\sqrt{d_k}": "√d_k",
    r"\sqrt{a + b}": "√(a + b)",
    r"\frac{1}{n-1}": "1/(n − 1)",
    r"\tfrac12": "1/2",
    r"-x": "−x",
    r"e^{s_{ij}/\tau}": "e^(s_ij/τ)",
    r"e^{s_{ij}}": "e^(s_ij)",
    r"\sum_{j \ne i} w_{ij} v_j": "∑_(j≠i) w_ij v_j",
    r"\operatorname{tr} M / \lVert M \rVert_*": "tr M/‖M‖_*",
    r"\mathbb{E}[q^2]": "E[q^2]",
    r"\|x\|\,\|y\|": "‖x‖ ‖y‖",
    "\\begin{aligned} a &= b, \\\\[4pt] c &= d \\end{aligned}": "a = b; c = d",
    "\\begin{aligned} a &= b \\\\ &> c \\end{aligned}": "a = b > c",
    r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}": "(1 2; 3 4)",
    r"\text{dot:}\quad s": "dot: s",
}
HTML = {
    r"W_q^\top x": "<i>W</i><sub><i>q</i></sub><sup>⊤</sup> <i>x</i>",
    r"d_{model}": "<i>d</i><sub><i>model</i></sub>",
    r"a < b": "<i>a</i> &lt; <i>b</i>",
    r"\operatorname{tr} M": "tr <i>M</i>",
    "\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}": "<i>a</i> = <i>b</i>; <i>c</i> = <i>d</i>",
}


@pytest.mark.parametrize("tex", TEXT)
def test_a_formula_becomes_a_line_of_text(tex):
    assert as_text(tex) == TEXT[tex]


@pytest.mark.parametrize("tex", HTML)
def test_a_formula_becomes_a_line_of_simple_html(tex):
    assert as_html(tex) == HTML[tex]


def test_what_docutils_cannot_read_keeps_its_words():
    assert as_text(r"\unheardof{d_k} = \frac{a") == "unheardof d_k = frac a"
