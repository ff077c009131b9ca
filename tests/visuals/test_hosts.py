"""Explorers, figures and tables in pages that are not the book's, whose theme is not the system's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import OpenPage, Scheme, in_both_schemes
from playwright.sync_api import Page
from visuals.examples import EXPLORERS

from attncourse.palette import DARK, LIGHT
from attncourse.site.explorers import site_script
from attncourse.visuals.figures import panels, show
from attncourse.visuals.tables import table

VSCODE = "<body data-vscode-theme-kind='{0}' class='{0}' style='background: {1}'>{2}"
WHITE_PANEL = "<div class='cell-output-ipywidget-background' style='background: white'>"
LAB = "<body data-jp-theme-light='{0}' style='--jp-layout-color0: {1}; background: {1}'>"
MARIMO = (  # what its style sheet makes of the class of the body
    "<style>:root {{ color-scheme: {0} }}</style>"
    "<body class='{0} {0}-theme' data-theme='{0}' style='background: {1}'>"
)
# Of each host the root's attributes, what stands before an output, and the theme that it shows:
# None where the output is whatever reads, on a ground of its own.
HOSTS = {
    "VS Code, dark, its white panel": (
        "", VSCODE.format("vscode-dark", "#1f1f1f", WHITE_PANEL), "dark"),
    "VS Code, dark, its panel made transparent": (
        "", VSCODE.format("vscode-dark", "#1f1f1f", ""), "dark"),
    "VS Code, high contrast": (
        "", VSCODE.format("vscode-high-contrast", "black", WHITE_PANEL), "dark"),
    "VS Code, light": ("", VSCODE.format("vscode-light", "white", WHITE_PANEL), "light"),
    "VS Code, light, high contrast": (  # which has the class of the dark one too
        "", VSCODE.format("vscode-high-contrast-light", "white", ""), "light"),
    "Colab, dark": ("theme=dark style='background: #383838'", "<body>", "dark"),
    "Colab, light": ("theme=light style='background: white'", "<body>", "light"),
    "JupyterLab, dark": ("", LAB.format("false", "#111"), "dark"),
    "JupyterLab, light": ("", LAB.format("true", "white"), "light"),
    "marimo, dark": ("", MARIMO.format("dark", "#181c1a"), "dark"),
    "marimo, light": ("", MARIMO.format("light", "white"), "light"),
    "a page that declares itself dark": ("style='color-scheme: dark'", "<body>", "dark"),
    "a page that is always light": ("", "<body style='background: white'>", "light"),
    "a page that says nothing and is dark": ("", "<body style='background: #191919'>", None),
    "a page that says nothing and is grey": ("", "<body style='background: #777'>", None),
}  # fmt: skip
# The least contrast of a text against what is painted behind it. A letter on a mark, which is cut
# out of it in the colour of the ground, is no text on the ground.
CONTRASTS = """() => {
    const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const painted = (colours) => {
        pixel.clearRect(0, 0, 1, 1);
        for (const colour of colours) {
            pixel.fillStyle = colour;
            pixel.fillRect(0, 0, 1, 1);
        }
        return [...pixel.getImageData(0, 0, 1, 1).data];
    };
    const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const grounds = (e) => {
        const all = [];
        for (; e; e = e.parentElement ?? e.getRootNode().host) {
            all.unshift(getComputedStyle(e).backgroundColor);
        }
        return ["white", ...all];
    };
    const within = (root) => [...root.querySelectorAll("*")].flatMap((e) =>
        [e, ...(e.shadowRoot ? within(e.shadowRoot) : [])]);
    const isText = (e) => !e.matches("style, .announce") && e.checkVisibility() &&
        [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
    const isLetter = (e) => e.matches(".attn-figure use");
    return within(document)
        .filter((e) => e.closest(".attn-explorer, .attn-figure, .attn-results"))
        .filter((e) => isText(e) || isLetter(e))
        .map((e) => {
            const style = getComputedStyle(e);
            const colour = e.closest("svg") ? style.fill : style.color;
            const behind = grounds(e);
            const [a, b] = [light(painted([...behind, colour])), light(painted(behind))];
            const onMark = e.matches(".turns text:not(.initial-k)");
            return onMark ? 21 : (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        });
}"""


@pytest.fixture
def host(scheme: Scheme, tmp_path: Path, open_page: OpenPage) -> Callable[..., Page]:
    """``host(name, outputs)``: the page of a host with these outputs."""

    def host_(name: str, outputs: str) -> Page:
        root, before, _ = HOSTS[name]
        (tmp_path / "explorers.js").write_text(site_script(), "utf-8")
        page = tmp_path / "page.html"
        page.write_text(
            f"<!doctype html><html lang=en {root}><meta charset=utf-8>{before}{outputs}"
            "<script src=explorers.js></script>",
            "utf-8",
        )
        return open_page(page, scheme=scheme)

    return host_


@pytest.fixture(scope="module")
def outputs() -> str:
    """An explorer of each kind, a figure and a table."""
    (axes,) = panels("A line")
    axes.plot([0, 1], [0, 1], label="rising")
    axes.legend()
    figure = show(axes, alt="One line that is rising")
    results = table(("task", "K = V"), [("copy", 0.5)], caption="Accuracy")
    explorers = [make()._repr_mimebundle_()[0] for make in EXPLORERS.values()]
    bundles = [*explorers, figure._repr_mimebundle_(), results._repr_mimebundle_()]
    return "".join(str(each["text/html"]) for each in bundles)


def rgb(colour: str) -> str:
    return "rgb({}, {}, {})".format(*bytes.fromhex(colour[1:]))


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("name", HOSTS)
def test_every_text_reads_and_is_in_the_theme_of_its_host(
    name: str, host: Callable[..., Page], outputs: str
) -> None:
    page = host(name, outputs)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert min(contrasts) >= 4.5
    theme = HOSTS[name][2]
    if theme:
        ink = rgb((DARK if theme == "dark" else LIGHT)["ink"])
        for output in (".attn-explorer", ".attn-results"):
            colour = page.locator(output).first.evaluate("e => getComputedStyle(e).color")
            assert colour == ink, output
        fills = page.eval_on_selector_all(
            ".attn-figure use", "all => all.map(e => getComputedStyle(e).fill)"
        )
        assert ink in fills


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_in_the_shadow_root_of_a_widget_of_marimo_it_does_too(
    theme: str, host: Callable[..., Page], outputs: str
) -> None:
    page = host(f"marimo, {theme}", outputs)
    page.evaluate(
        """() => { for (const mount of document.querySelectorAll(".attn-mount")) {
            const widget = document.createElement("marimo-anywidget");
            mount.replaceWith(widget);
            widget.attachShadow({ mode: "open" }).append(mount);
        } }"""
    )
    assert min(page.evaluate(CONTRASTS)) >= 4.5
    ink = page.locator(".attn-explorer").first.evaluate("e => getComputedStyle(e).color")
    assert ink == rgb((DARK if theme == "dark" else LIGHT)["ink"])


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "switch"),
    [
        ("Colab, light", "document.documentElement.setAttribute('theme', 'dark')"),
        ("VS Code, light", "document.body.dataset.vscodeThemeKind = 'vscode-dark'"),
        (
            "JupyterLab, light",
            "document.body.style.setProperty('--jp-layout-color0', '#111'),"
            "document.body.dataset.jpThemeLight = 'false'",
        ),
        ("marimo, light", "document.body.dataset.theme = 'dark'"),
    ],
)
def test_a_map_that_is_drawn_follows_a_host_that_goes_dark(
    name: str, switch: str, host: Callable[..., Page]
) -> None:
    page = host(name, EXPLORERS["pixel_match"]()._repr_mimebundle_()[0]["text/html"])
    lowest = """() => {
        const copy = new OffscreenCanvas(1, 1).getContext("2d");
        copy.drawImage(document.querySelector(".scale canvas"), 0, 0);
        return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    assert page.evaluate(lowest) == [255, 255, 255]
    page.evaluate(switch)
    assert max(page.evaluate(lowest)) < 255 / 4


@pytest.mark.browser
def test_what_is_printed_in_a_dark_host_is_dark_on_light(
    host: Callable[..., Page], outputs: str, scheme: Scheme
) -> None:
    for name in ("JupyterLab, dark", "Colab, dark", "a page that declares itself dark"):
        page = host(name, outputs)
        page.emulate_media(media="print")
        for output in (".attn-explorer", ".attn-results"):
            assert page.locator(output).first.evaluate(
                "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
            ) == [rgb(LIGHT["ink"]), rgb(LIGHT["paper"])]
