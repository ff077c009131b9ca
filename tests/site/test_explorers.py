"""The script that runs the explorers in a static page."""

import json

import pytest
from sphinx.errors import ExtensionError

from attncourse.site.explorers import bundle, site_script
from attncourse.visuals.explorers import module_names, module_source

COUNTER = """
const step = 1;
function render({ model, el }) {
  const draw = () => { el.textContent = `counter ${model.get("count")}`; };
  el.onclick = () => { model.set("count", model.get("count") + step); model.save_changes(); };
  model.on("change:count", draw);
  draw();
}
export default { render };
"""
ECHO = """
const step = 2;
const render = ({ model, el }) => { el.textContent = `echo ${model.get("word")} ${step}`; };
export default { render };
"""


def mount(name, **state):
    escaped = json.dumps(state).replace('"', "&quot;")
    return f'<div class="attn-mount" data-explorer="{name}" data-state="{escaped}">no script</div>'


@pytest.fixture
def page_with(tmp_path):
    def write(script, *mounts):
        (tmp_path / "explorers.js").write_text(script, encoding="utf-8")
        page = tmp_path / "page.html"
        page.write_text(
            '<!DOCTYPE html><meta charset="utf-8"><script src="explorers.js"></script>'
            + "".join(mounts),
            encoding="utf-8",
        )
        return page

    return write


@pytest.mark.browser
def test_explorers_with_the_same_names_inside_run_side_by_side_from_a_file(page_with, open_page):
    script = bundle({"counter": COUNTER, "echo": ECHO})
    page = open_page(page_with(script, mount("counter", count=4), mount("echo", word='"a" & b')))
    assert page.locator(".attn-mount").all_inner_texts() == ["counter 4", 'echo "a" & b 2']


@pytest.mark.browser
def test_each_mount_has_a_model_of_its_own_that_tells_its_listeners(page_with, open_page):
    page = open_page(
        page_with(
            bundle({"counter": COUNTER}), mount("counter", count=0), mount("counter", count=5)
        )
    )
    page.locator(".attn-mount").first.click(click_count=2)
    assert page.locator(".attn-mount").all_inner_texts() == ["counter 2", "counter 5"]


@pytest.mark.browser
def test_a_listener_that_was_taken_off_hears_nothing_more(page_with, open_page):
    module = """
    function render({ model, el }) {
      const calls = [];
      const kept = () => calls.push("kept");
      const dropped = () => calls.push("dropped");
      model.on("change:x", kept);
      model.on("change:x", dropped);
      model.off("change:x", dropped);
      model.set("x", 2);
      model.set("x", 2);
      model.set("y", 3);
      el.textContent = calls.join();
    }
export default { render };
"""
    page = open_page(page_with(bundle({"listener": module}), mount("listener", x=1)))
    assert page.inner_text(".attn-mount") == "kept"


@pytest.mark.parametrize(
    "statement",
    ['import * as d3 from "d3";', 'import "./style.js";', "export const x = 1;"],
)
def test_a_module_that_does_not_stand_alone_is_refused_by_name(statement):
    with pytest.raises(ExtensionError, match=r"the explorer crowded says.*must stand alone"):
        bundle({"echo": ECHO, "crowded": f"{statement}\n{ECHO}"})


@pytest.mark.parametrize(("code", "count"), [("const render = 1;\n", 0), (ECHO + COUNTER, 2)])
def test_a_module_exports_one_default(code, count):
    with pytest.raises(ExtensionError, match=f"the explorer odd has {count} lines"):
        bundle({"odd": code})


def test_the_course_has_explorers_and_all_of_them_can_be_joined():
    names = module_names()
    assert {"live_softmax", "pixel_match"} <= set(names)
    script = site_script()
    assert all(f'explorers["{name}"] = {{ render }}' in script for name in names)


def test_what_all_explorers_need_stands_once_in_the_site_and_in_each_module_of_a_notebook():
    once = "function pointerOn("
    assert site_script().count(once) == 1
    assert site_script().count("const STYLE = ") == 1
    assert all(module_source(name).count(once) == 1 for name in module_names())
