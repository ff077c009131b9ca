#!/usr/bin/env bash
# anywidget 0.11.0 on ipywidgets 8.1.9: a widget with a trait "keys" sends nothing
#
# One would expect: a widget with synchronised traits queries, keys and values sends
#   all three to the browser.
# What happens: ipywidgets keeps the list of synchronised traits in a trait named
#   "keys". A trait of that name replaces the list. While it is empty, no other trait
#   is sent, and nothing says so; once it holds strings, these are looked up as names
#   of traits and TraitError is raised.
# Seen: the state holds none of the three; with other names it holds all.
# Why it matters: keys is the one name that a widget about attention is sure to use.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile anywidget==0.11.0 ipywidgets==8.1.9 traitlets==5.16.1
cd "$tmp"
python3 - <<'PY'
import anywidget
import traitlets


class Attention(anywidget.AnyWidget):
    _esm = "export default { render() {} }"
    queries = traitlets.List().tag(sync=True)
    keys = traitlets.List().tag(sync=True)
    values = traitlets.List().tag(sync=True)


class Renamed(anywidget.AnyWidget):
    _esm = "export default { render() {} }"
    queries = traitlets.List().tag(sync=True)
    keys_ = traitlets.List().tag(sync=True)
    values = traitlets.List().tag(sync=True)


widget = Attention(queries=["the"], values=["cat"])
print("state with a trait keys:", sorted(widget.get_state()))
renamed = Renamed(queries=["the"], values=["cat"]).get_state()
print("state with keys_:       ", [name for name in sorted(renamed) if not name.startswith("_")])
if {"queries", "keys", "values"} & set(widget.get_state()):
    raise SystemExit("changed: a trait named keys no longer stops the others")
if not {"queries", "keys_", "values"} <= set(renamed):
    raise SystemExit("changed: the other traits are not sent either")
try:
    Attention(keys=["the", "cat"]).get_state()
except traitlets.TraitError as error:
    print("keys = ['the', 'cat']:  ", error)
else:
    raise SystemExit("changed: strings in keys no longer raise")
PY
