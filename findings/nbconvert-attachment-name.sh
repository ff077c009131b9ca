#!/usr/bin/env bash
# nbconvert 7.17.2: a picture whose name holds a blank or an accent stops the page
#
# One would expect: a valid notebook, whose Markdown refers to its own attachment by
#   the attachment's own name, becomes a page with the picture.
# What happens: the Markdown parser percent-encodes the address first, and the
#   exporter looks for an attachment of the encoded name. It raises InvalidNotebook
#   and writes no page, although nbformat finds the notebook valid.
# Seen: "heads.png" is embedded; "my heads.png" raises "missing attachment:
#   my%20heads.png", and so does a name with an e circumflex, as "%C3%AA".
# Why it matters: nbgrader writes its feedback with this exporter. A student whose
#   picture came from a folder of photos or screenshots gets none.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile nbconvert==7.17.2 nbformat==5.11.1 mistune==3.4.0
cd "$tmp"
export JUPYTER_CONFIG_DIR="$tmp/config" JUPYTER_DATA_DIR="$tmp/data"
python3 - <<'PY'
import base64

import nbformat
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import InvalidNotebook
from nbformat.v4 import new_markdown_cell, new_notebook

PLAIN, BLANK, ACCENT = "heads.png", "my heads.png", "t\u00eates.png"
picture = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()


def convert(name):
    cell = new_markdown_cell(f"![map](<attachment:{name}>)")
    cell.attachments = {name: {"image/svg+xml": picture}}
    notebook = new_notebook(cells=[cell])
    nbformat.validate(notebook)
    try:
        page = HTMLExporter().from_notebook_node(notebook)[0]
    except InvalidNotebook as error:
        return f"InvalidNotebook: {error}"
    return "embedded" if picture in page else "lost"


results = {name: convert(name) for name in (PLAIN, BLANK, ACCENT)}
for name, result in results.items():
    print(f"{name:13} {result}")
if results[PLAIN] != "embedded":
    raise SystemExit("changed: a plain name is not embedded")
if not all("missing attachment" in results[name] for name in (BLANK, ACCENT)):
    raise SystemExit("changed: names with a blank or an accent no longer raise")
PY
