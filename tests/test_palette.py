"""The colours exist once, and what draws with them has all of them."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT

from attncourse import palette
from attncourse.palette import DARK, LIGHT, MIDTONE, css_variable, custom_properties
from attncourse.site import theme
from attncourse.visuals.explorers.base import style_sheet

HEX_COLOUR = re.compile(r"(?<![&\w])#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})\b", re.IGNORECASE)
COLOUR_FUNCTION = re.compile(r"\b(?:rgb|hsl|hwb|lab|lch|oklab|oklch)a?\(", re.IGNORECASE)


def sources(*endings: str) -> list[Path]:
    """What the package and the book's ``_static`` are written in, and draw with."""
    folders = (ROOT / "attncourse", ROOT / "book" / "_static")
    files = [file for folder in folders for file in folder.rglob("*") if file.suffix in endings]
    assert files
    return files


def found(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{number}: {colour[0]}"
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1)
        for colour in pattern.finditer(line)
    ]


def test_no_colour_is_written_down_outside_of_the_palette():
    files = sources(".css", ".js", ".py", ".html")
    written = Path(palette.__file__)
    assert found(HEX_COLOUR, [written]), "else the pattern finds nothing anywhere"
    assert found(HEX_COLOUR, [file for file in files if file != written]) == []


def test_no_style_sheet_mixes_a_colour_of_its_own():
    assert found(COLOUR_FUNCTION, sources(".css")) == []


@pytest.mark.parametrize(
    ("line", "colours"),
    [
        ("color: #1d5fc4;", ["#1d5fc4"]),
        ("a{color:#FFF}b{color:#1234}", ["#FFF", "#1234"]),
        ("'#11223344'", ["#11223344"]),
        ("&#8217; #api-reference #state # 123 #12345 x#123", []),
    ],
)
def test_what_counts_as_a_colour(line, colours):
    assert HEX_COLOUR.findall(line) == colours


@pytest.mark.parametrize("name", LIGHT)
def test_the_explorers_have_every_colour_in_light_and_dark(name):
    sheet = style_sheet()
    # The page's, else the host's, else the light one.
    assert f" --{name}: var(--attn-{name}, var(--host-{name}, {LIGHT[name]}));" in sheet
    assert f"--host-{name}: light-dark({LIGHT[name]}, {DARK[name]});" in sheet


def test_light_and_dark_name_the_same_colours():
    assert LIGHT.keys() == DARK.keys()
    assert MIDTONE.keys() < LIGHT.keys()


def test_every_property_that_the_explorers_use_is_one_that_is_declared():
    style = style_sheet()
    used = set(re.findall(r"var\(--([\w-]+)", style))
    set_by_the_script = {
        "from",
        "to",
        "columns",
        "heat",
        "modes",
        "place",
        "room",
        "share",
        "stage",
    }
    of_others = {name for name in used if name.startswith(("attn-", "jp-"))}
    declared = set(re.findall(r"--([\w-]+):", style))
    assert used - of_others - set_by_the_script <= declared
    assert set(LIGHT) <= used, "a colour that no explorer uses"


def test_the_book_has_every_colour_in_light_and_dark(tmp_path):
    theme.write_colours(SimpleNamespace(outdir=tmp_path))
    light, dark = (tmp_path / "_static" / theme.COLOURS).read_text("utf-8").splitlines()
    assert custom_properties(LIGHT) in light
    assert custom_properties(DARK) in dark
    assert 'data-theme="dark"' in dark


def test_colours_are_declared_as_css_does():
    assert custom_properties({"a": "red", "b": "#123"}) == "--attn-a: red; --attn-b: #123;"
    assert custom_properties({"a": "red"}, prefix="--") == "--a: red;"
    assert css_variable("key") == f"var(--attn-key, {LIGHT['key']})"
    assert css_variable("key", DARK) == f"var(--attn-key, {DARK['key']})"
