#!/usr/bin/env bash
# ipywidgets 8.1.9: an Image widget takes an alternative text and drops it
#
# One would expect: Image(alt="...") sets the text for those who cannot see the
#   picture, as IPython.display.Image(alt="...") does; or raises.
# What happens: the widget has no such trait. The argument is accepted with a
#   DeprecationWarning of traitlets that names no widget, and is not in the state that
#   goes to the page. The nearest trait is tooltip, which is another attribute.
# Seen: no trait with "alt" in its name; the text is not in the exported page.
# Why it matters: an attention map shown by this widget has no text for a screen
#   reader, and the code looks as though it had.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile ipywidgets==8.1.9 traitlets==5.16.1
cd "$tmp"
python3 - <<'PY'
import warnings

from ipywidgets import Image
from ipywidgets.embed import embed_snippet

text = "row 3 attends to the first token"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    image = Image(value=b"<svg/>", format="svg+xml", alt=text)
print("raised: nothing; warned:", sorted({w.category.__name__ for w in caught}))
print("traits with alt in the name:", [name for name in image.trait_names() if "alt" in name])
page = embed_snippet([image])
print("text in the exported page:", text in page)
described = embed_snippet([Image(value=b"<svg/>", format="svg+xml", tooltip=text)])
print("a tooltip is in it:", text in described)
if "alt" in image.trait_names() or text in page:
    raise SystemExit("changed: the alternative text reaches the page")
if text not in described:
    raise SystemExit("changed: a tooltip no longer reaches the page")
PY
