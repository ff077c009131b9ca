"""The explorers in a static page: their modules as one classic script that mounts them.

A page opened from ``file://`` may not load ES modules, so they are joined into a script that it
may load. Each keeps its own code as anywidget runs it in a notebook: it imports nothing and has one
``export default``. What stands in front of each there stands here once.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from attncourse.visuals.explorers.base import module_names, own_source, shared_source

MOUNT = Path(__file__).with_name("mount.js")
SCRIPT = "attn-explorers.js"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"

_STATEMENT = re.compile(r"^(?:import\b(?!\s*[.(])|export\b).*", re.MULTILINE)
_EXPORT = re.compile(r"^export\s+default\s+", re.MULTILINE)


def site_script() -> str:
    """All explorers of the package, as one classic script."""
    return bundle({name: own_source(name) for name in module_names()}, shared=shared_source())


def bundle(modules: dict[str, str], *, shared: str = "") -> str:
    """The modules, by explorer's name, and the code that mounts them, as one classic script.

    ``shared`` is code that all of them see.

    Raises ExtensionError for a module that imports something or does not export one default.
    """
    parts = [f'(() => {{\n"use strict";\nconst explorers = {{}};\n{shared}\n']
    for name, code in modules.items():
        for statement in _STATEMENT.findall(code):
            if not _EXPORT.match(statement):
                raise ExtensionError(
                    f"the explorer {name} says {statement!r}. It must stand alone: no import, and "
                    "`export default { render };` as its only export."
                )
        exports = len(_EXPORT.findall(code))
        if exports != 1:
            raise ExtensionError(
                f"the explorer {name} has {exports} lines that begin with `export default`; "
                "it needs exactly one: `export default { render };`."
            )
        code = _EXPORT.sub(f"explorers[{json.dumps(name)}] = ", code)
        # A function of its own, so that two explorers may both have a `softmax`.
        parts.append(f"(() => {{\n{code}\n}})();\n")
    return "".join([*parts, MOUNT.read_text(encoding="utf-8"), "})();\n"])


def write_script(app: Sphinx) -> None:
    """Write the script below the site's ``_static`` (Sphinx event builder-inited)."""
    script = Path(app.outdir) / "_static" / SCRIPT
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(site_script(), encoding="utf-8")


def load_script(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the script in a page that has an explorer (Sphinx event html-page-context)."""
    if "attn-mount" in context.get("body", ""):
        app.add_js_file(SCRIPT, defer="defer")
    # myst-nb writes each widget's state into the page, its code included, for a widget manager.
    # There is none, and the mount's own element has the state that it needs.
    context["script_files"] = [
        script
        for script in context["script_files"]
        if getattr(script, "attributes", {}).get("type") != WIDGET_STATE
    ]
