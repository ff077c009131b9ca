#!/usr/bin/env bash
# nbformat 5.11.1, jsonschema 4.26.0, rfc3987-syntax 1.1.0: reading a notebook builds
# a parser for international web addresses
#
# One would expect: import nbformat loads what notebooks need. No notebook schema has
#   a field of the format "iri".
# What happens: where rfc3987-syntax is installed, jsonschema imports it at once, and
#   that package builds an Earley parser from a grammar file when it is imported. The
#   package comes with jupyter-events, thus with every JupyterLab and every nbgrader.
# Seen: no module of lark without it; 23 with it, and a finished parser.
# Why it matters: the same "import nbformat" costs several times as much in the
#   environment of a course as in a bare one. Every grading process pays for it once.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
cd "$tmp"
cat > run.py <<'PY'
import pathlib
import sys

import nbformat

schemas = list(pathlib.Path(nbformat.__file__).parent.glob("v*/*.schema.json"))
asking = [path.name for path in schemas if '"iri' in path.read_text(encoding="utf-8")]
lark = sum(name.split(".")[0] == "lark" for name in sys.modules)
parser = hasattr(sys.modules.get("rfc3987_syntax.syntax_helpers"), "syntax_parser")
print(f"after import nbformat: {lark} modules of lark, parser built: {parser};",
      f"schemas that use it: {len(asking)} of {len(schemas)}")
if not schemas or asking:
    raise SystemExit("changed: a notebook schema uses the format iri, or none was found")
if (lark > 0, parser) != (sys.argv[1] == "built",) * 2:
    raise SystemExit(f"changed: expected the parser to be {sys.argv[1]}")
PY
python3 -m pip install --quiet --no-compile nbformat==5.11.1 jsonschema==4.26.0
python3 run.py absent
python3 -m pip install --quiet --no-compile rfc3987-syntax==1.1.0 lark==1.3.1
python3 run.py built
