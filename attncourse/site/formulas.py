"""Formulas on one line and without MathJax: as text for the search, as HTML for a small card.

Sphinx hands formulas on as TeX. docutils turns TeX into MathML; here the MathML is written out:
``W_qᵀ W_k`` and ``√d_k``, or the same with italics, subscripts and superscripts.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, fromstring

from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml

# What MathJax takes and docutils does not: digits as arguments, and a distance between rows.
_SHORT_FRACTION = re.compile(r"\\[dt]?frac\s*(\d)\s*(\d)")
_ROW_DISTANCE = re.compile(r"\\\\\[[^\]]*\]")

_RELATIONS = frozenset("=<>≤≥≠≈≡∼∝∈∉⊂⊆→↦⇒⇔")
_BETWEEN = _RELATIONS | frozenset("+±·⋅×∘")
_OPENING = frozenset("([{⟨,;")
_SCRIPTS = ("msub", "msup", "msubsup", "munder", "mover", "munderover")
_TAG = re.compile(r"</?(?:i|sub|sup)>")
# What does not fall apart below a root, beside a slash or in a script.
_ATOM = re.compile(r"−?[\w.*⊤]+(\^−?[\w.*⊤]+)?|\([^()]*\)|‖[^‖ ]*‖|√\w+")


@dataclass(frozen=True)
class _Notation:
    letters: Callable[[str], str]
    characters: Callable[[str], str]
    below: Callable[[str, str], str]
    above: Callable[[str, str], str]


def _text_script(mark: str) -> Callable[[str, str], str]:
    def written(base: str, script: str) -> str:
        tight = script.replace(" ", "").replace("⊤", "ᵀ")
        if tight == "ᵀ":
            return base + tight
        # e^s_ij could be read in two ways.
        nested = f"({tight})" if mark == "^" and "_" in tight else _grouped(tight)
        return base + mark + nested

    return written


def _italic(letters: str) -> str:
    # Upright are names such as "tr", and letters that have a shape of their own, such as 𝔼.
    upright = len(letters) > 1 or not letters.isalpha() or letters > "\uffff"
    return html.escape(letters) if upright else f"<i>{letters}</i>"


_TEXT = _Notation(
    letters=lambda letters: unicodedata.normalize("NFKC", letters),  # 𝔼 is found as E
    characters=str,
    below=_text_script("_"),
    above=_text_script("^"),
)
_HTML = _Notation(
    letters=_italic,
    characters=html.escape,
    below=lambda base, script: f"{base}<sub>{script}</sub>",
    above=lambda base, script: f"{base}<sup>{script}</sup>",
)


def as_text(tex: str) -> str:
    """``s_ij = q_i · k_j``: the formula as one would type it."""
    return _written(tex, _TEXT)


def as_html(tex: str) -> str:
    """The formula in HTML with italics, subscripts and superscripts, and no more."""
    return _written(tex, _HTML).replace("</i><i>", "")


def _written(tex: str, notation: _Notation) -> str:
    understood = _ROW_DISTANCE.sub(r"\\\\", _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", tex))
    try:
        mathml = tex2mathml(understood).replace("&ApplyFunction;", "&#x2061;")
    except MathError:
        return notation.characters(" ".join(re.sub(r"[\\{}$&]", " ", tex).split()))
    return re.sub(r"\s+", " ", _line(fromstring(mathml), notation)).strip()


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _line(element: Element, notation: _Notation) -> str:
    parts = [_line(child, notation) for child in element]
    text = (element.text or "").strip()
    match _tag(element):
        case "mi":
            return notation.letters(text)
        case "mn" | "mtext":
            return notation.characters(element.text or "")
        case "mo":
            written = notation.characters(text)
            if text == "\u2061":  # between a function and what it is applied to
                return " "
            if text in {",", ";"}:
                return f"{written} "
            return f" {written} " if text in _BETWEEN else written
        case "mspace":
            return " "
        case "msub" | "munder":
            return notation.below(*parts)
        case "mover" if element.get("accent"):
            return "".join(parts)
        case "msup" | "mover":
            return notation.above(*parts)
        case "msubsup" | "munderover":
            base, below, above = parts
            return notation.above(notation.below(base, below), above)
        case "mfrac":
            return "/".join(map(_grouped, parts))
        case "msqrt":
            return f"√{_grouped(_row(element, parts))}"
        case "mtr":
            return " ".join(parts)
        case "mtable":
            return _rows(parts)
        case _:
            return _row(element, parts)


def _row(element: Element, parts: list[str]) -> str:
    """What stands side by side."""
    line = ""
    before: Element | None = None
    for child, part in zip(element, parts, strict=True):
        operand = before is not None and (before.text or "") not in _RELATIONS | _OPENING
        if child.text == "−" and operand:
            line += " − "
        elif before is not None and _tag(before) in _SCRIPTS and _bare(part)[:1].isalnum():
            line += f" {part}"  # W_q W_k, not W_qW_k
        else:
            line += part
        before = child
    return line


def _rows(rows: list[str]) -> str:
    """The rows of a table; one that begins with a relation goes on with the one before."""
    line = ""
    for row in rows:
        goes_on = not line or _bare(row)[:1] in _RELATIONS
        line = f"{line.removesuffix(',')}{'' if goes_on else ';'} {row.strip()}"
    return line.strip()


def _grouped(part: str) -> str:
    part = part.strip()
    return part if _ATOM.fullmatch(_bare(part)) else f"({part})"


def _bare(part: str) -> str:
    return _TAG.sub("", part).strip()
