"""How every explorer answers to a hand, whatever it shows: a mouse, a finger, the Tab key."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from visuals.driving import Finger, middle, slide
from visuals.examples import EXPLORERS

from attncourse.visuals.explorers import module_names

each_explorer = pytest.mark.parametrize("name", EXPLORERS)
SLIDERS = 'input[type="range"]'


def test_every_explorer_is_tried() -> None:
    assert sorted(EXPLORERS) == module_names()


def state(page: Page) -> list[str]:
    """All that the reader sees and has set; what is told to a screen reader comes later."""
    return page.locator(".attn-explorer").evaluate_all(
        """all => all.flatMap(root => [
            ...[...root.querySelectorAll("data")].map(each => each.value + each.textContent),
            ...[...root.querySelectorAll("input")].map(each => each.value + each.checked),
            ...[...root.querySelectorAll("[aria-valuetext]")].map(each => each.ariaValueText)])"""
    )


@pytest.fixture
def phone(show: Callable[..., Page]) -> Callable[[str], Page]:
    """``phone(name)``: an explorer on a narrow page that can scroll both ways."""

    def phone_(name: str) -> Page:
        page = show(EXPLORERS[name](), width=390)
        page.add_style_tag(content="main { padding-block: 1200px }")
        return page

    return phone_


# A place of each kind at which a swipe may begin, but for the handles, which a finger drags.
PLACES = (
    SLIDERS, ".photo", ".map", ".track", "svg", "button", "label", "td:has(data)", "dd", "caption",
)  # fmt: skip


@pytest.mark.browser
@each_explorer
def test_a_finger_that_scrolls_the_page_changes_nothing(
    name: str, phone: Callable[[str], Page]
) -> None:
    page = phone(name)
    before = state(page)
    finger = Finger(page)
    places = [page.locator(".attn-explorer").locator(place).first for place in PLACES]
    for place in (place for place in places if place.count()):
        box = middle(place)
        scrolled = finger.swipe((box[0] + 20, box[1]), right=6, down=-150)
        assert scrolled > 100, place.evaluate("place => place.outerHTML")
        assert state(page) == before, place.evaluate("place => place.outerHTML")


@pytest.mark.browser
@each_explorer
def test_a_finger_moves_a_slider_by_a_drag_to_the_side_and_by_a_tap(
    name: str, phone: Callable[[str], Page]
) -> None:
    page = phone(name)
    finger = Finger(page)
    for slider in page.locator(SLIDERS).all():
        x, y = middle(slider)
        width = slider.evaluate(
            "slider => slider.clientWidth - 16"
        )  # the handle's middle runs so far
        low, high = (float(slider.get_attribute(end) or "") for end in ("min", "max"))
        step = float(slider.get_attribute("step") or "")

        def at(x: float, middle: float = x, width: float = width, low=low, high=high) -> float:
            return low + (high - low) * ((x - middle) / width + 0.5)

        slider.evaluate(
            "slider => { window.seen = new Set();"
            " slider.addEventListener('input', () => seen.add(slider.value)); }"
        )
        scrolled = finger.swipe((x - width / 4, y), right=width / 2, down=8)
        assert scrolled == 0
        assert page.evaluate("seen.size") > 2, (
            "it follows the finger, and does not wait for its end"
        )
        assert float(slider.input_value()) == pytest.approx(at(x + width / 4), abs=step)
        finger.tap((x - width / 3, y))
        assert float(slider.input_value()) == pytest.approx(at(x - width / 3), abs=step)
        texts = slider.evaluate("slider => [slider.ariaValueText, slider.value]")
        assert texts[0], "a slider says its value in words"


@pytest.mark.browser
@each_explorer
@pytest.mark.parametrize("width", [390, 800])
def test_nothing_moves_under_the_hand_when_numbers_change(
    name: str, width: int, show: Callable[..., Page]
) -> None:
    page = show(EXPLORERS[name](), width=width)

    def places() -> dict[str, list[float]]:
        return page.evaluate(
            """selector => {
                const count = {};
                return Object.fromEntries(
                [...document.querySelectorAll(`.attn-explorer :is(${selector})`)].map(each => {
                    const { x, y, width, height } = each.getBoundingClientRect();
                    const kind = `${each.localName} ${each.getAttribute("class") ?? ""}`;
                    count[kind] = (count[kind] ?? 0) + 1;
                    // What is read out may be of another kind at each step.
                    const what = kind + (each.localName === "dt" ? each.textContent : count[kind]);
                    return [what, [x, y + scrollY, width, height].map(Math.round)];
                }))}""",
            "input, button, canvas, svg, table, dl, dt",
        )

    def moved() -> dict[str, object]:
        now = places()
        return {
            what: (before.get(what), now.get(what))
            for what in before.keys() | now.keys()
            if before.get(what) != now.get(what)
            and not (what.startswith("dt") and (what not in now or what not in before))
        }

    before = places()
    for slider in page.locator(SLIDERS).all():
        start = slider.input_value()
        slider.focus()
        for keys in ("Home", "PageUp", "PageUp", "ArrowRight", "PageUp", "PageUp", "End"):
            page.keyboard.press(keys)
            assert moved() == {}, (slider.evaluate("e => e.ariaLabel"), slider.input_value())
        slide(slider, float(start))
    for handle in page.locator(".photo, .drag").all():
        handle.focus()
        for keys in ("Shift+ArrowUp", "Shift+ArrowLeft", "ArrowDown", "Shift+ArrowDown"):
            page.keyboard.press(keys)
            assert moved() == {}, handle.get_attribute("aria-valuetext")
    # Not by their number among the allowed ones: a press may allow another button, or forbid one.
    for press in page.locator("button, td:has(data)").element_handles():
        target = press.evaluate(
            """press => {
                if (press.getAttribute("aria-disabled") === "true") return [];
                press.scrollIntoView({ block: "nearest" });
                const { x, y, width, height } = press.getBoundingClientRect();
                const middle = [x + width / 2, y + height / 2];
                return press.contains(document.elementFromPoint(...middle)) ? middle : "covered";
            }"""
        )
        assert target != "covered", press.evaluate("press => press.outerHTML")
        if target:
            page.mouse.click(*target)
        assert moved() == {}, press.evaluate("press => press.outerHTML")


@pytest.mark.browser
@each_explorer
@pytest.mark.parametrize("width", [390, 800])
def test_a_read_out_keeps_room_for_the_longest_it_may_say_and_no_more(
    name: str, width: int, show: Callable[..., Page]
) -> None:
    page = show(EXPLORERS[name](), width=width)
    reserved = page.locator("dl.readouts dd").evaluate_all(
        "all => all.map(each => getComputedStyle(each).minHeight)"
    )
    assert set(reserved) <= {"0px", "auto"}
    rooms = page.locator(".roomy").evaluate_all(
        """all => all.map(room => {
            const before = room.offsetHeight;
            const texts = [...room.children];
            const alone = texts.map(text => { room.replaceChildren(text); return room.offsetHeight; });
            return [before, Math.max(...alone)];
        })"""
    )
    assert [room for room in rooms if room[0] != room[1]] == []


@pytest.mark.browser
@each_explorer
def test_a_drag_selects_no_text_wherever_it_goes(name: str, show: Callable[..., Page]) -> None:
    page = show(EXPLORERS[name]())
    page.evaluate(
        """() => { for (const where of ["prepend", "append"]) {
            const words = document.createElement("p");
            words.textContent = "Words of the page. ".repeat(30);
            document.querySelector("main")[where](words);
        } }"""
    )
    page.evaluate(
        """() => {
            window.selected = "";
            document.addEventListener("selectionchange", () => { selected ||= `${getSelection()}`; });
        }"""
    )
    words = [page.locator("main > p").nth(n).bounding_box() for n in (0, 1)]
    for hold in page.locator(f"{SLIDERS}, .photo, .map, .drag, .track, svg, label, button").all():
        x, y = middle(hold)
        scrolled = page.evaluate("scrollY")
        page.mouse.move(x, y)
        page.mouse.down()
        for box in words:
            assert box
            page.mouse.move(box["x"] + 40, box["y"] - scrolled + 9, steps=2)
        page.mouse.move(x + 30, y + 30)
        selected = page.evaluate("selected || getSelection().toString()")
        page.mouse.up()
        assert selected == "", hold.evaluate("hold => hold.outerHTML")
        page.mouse.dblclick(x, y)
        assert page.evaluate("getSelection().toString()") == ""


@pytest.mark.browser
@each_explorer
def test_what_it_says_can_still_be_copied(name: str, show: Callable[..., Page]) -> None:
    page = show(EXPLORERS[name]())
    for words in page.locator("dl.readouts dt:not(:has(label)), table.numbers caption").all():
        words.click(click_count=3)
        assert words.inner_text() in page.evaluate("getSelection().toString()")


@pytest.mark.browser
@each_explorer
def test_a_screen_reader_hears_nothing_while_a_hand_moves_and_one_thing_after(
    name: str, show: Callable[..., Page]
) -> None:
    page = show(EXPLORERS[name]())
    page.evaluate(
        """() => {
            const waiting = new Map();
            let now = 0, last = 0;
            window.setTimeout = (run, after = 0) =>
                (waiting.set(++last, { run, due: now + after }), last);
            window.clearTimeout = (timer) => waiting.delete(timer);
            window.pass = async (time) => {
                for (const end = now + time; now < end; now++)
                    for (const [timer, { run, due }] of [...waiting])
                        if (due <= now && waiting.delete(timer)) await run(); // and then heard
            };
            window.heard = [];
            const status = document.querySelector("[role=status]");
            new MutationObserver(() => heard.push(status.textContent))
                .observe(status, { childList: true, characterData: true, subtree: true });
        }"""
    )
    holds = page.locator(f".photo, .drag, {SLIDERS}:not(.score)").all()  # a score says its weight
    for hold in holds:
        page.evaluate("heard.length = 0")
        x, y = middle(hold)
        if hold.evaluate("hold => hold.matches('input')"):
            value, low, high = (
                hold.evaluate(f"slider => Number(slider.{each})")
                for each in ("value", "min", "max")
            )
            x += ((value - low) / (high - low) - 0.5) * hold.evaluate("e => e.clientWidth - 16")
        page.mouse.move(x, y)
        page.mouse.down()
        for right in (8, 16, 24, 12, -16, -30):
            page.mouse.move(x + right, y + right / 2)
            page.evaluate("pass(60)")
        assert page.evaluate("heard") == []
        page.mouse.up()
        page.evaluate("pass(5000)")
        assert len(page.evaluate("heard")) == 1


@pytest.mark.browser
@each_explorer
def test_its_stops_of_the_tab_key_are_what_a_hand_can_move_and_each_shows_that_it_has_the_focus(
    name: str, show: Callable[..., Page]
) -> None:
    page = show(EXPLORERS[name]())
    controls = page.locator(".attn-explorer").evaluate(
        """root => [...root.querySelectorAll("input:not([type=radio]), :checked[type=radio], "
            + "button, :is([role=slider], [role=button]):not([tabindex='-1'])")].length"""
    )
    page.locator("h1").click()
    for number in range(controls):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('.attn-explorer') !== null"), number
        assert page.evaluate(
            """() => {
                const focused = document.activeElement;
                const shows = (each) => each && getComputedStyle(each).outlineStyle !== "none";
                const ring = focused.querySelector(".ring-of-focus");
                return shows(focused) && Number(getComputedStyle(focused).opacity) > 0
                    || shows(focused.closest("label"))
                    || ring !== null && getComputedStyle(ring).stroke !== "none";
            }"""
        ), page.evaluate("document.activeElement.outerHTML")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.attn-explorer')") is None
