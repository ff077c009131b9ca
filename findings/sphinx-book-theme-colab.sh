#!/usr/bin/env bash
# sphinx-book-theme 1.3.0 with myst-nb 1.4.0: the Colab button of a MyST notebook
# points to a text file
#
# One would expect: a page written as a MyST Markdown notebook, for which the theme
#   makes and offers an .ipynb, is opened in Colab as that .ipynb, or has no button.
# What happens: the button's address ends in the name of the .md file. Colab opens
#   notebooks only. The same theme writes the .ipynb into the built book and links it
#   for download. The Binder button has the .md as well, where jupytext may open it.
# Seen: .../blob/main/index.md beside _sources/index.ipynb.
# Why it matters: MyST notebooks are the usual format of a Jupyter Book, since they can
#   be read in a diff. The button is there, and leads every reader to an error.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile Sphinx==7.4.7 sphinx-book-theme==1.3.0 myst-nb==1.4.0 \
    myst-parser==3.0.1 pydata-sphinx-theme==0.17.1 docutils==0.21.2
mkdir "$tmp/book"
cd "$tmp/book"
cat > conf.py <<'PY'
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
nb_execution_mode = "off"
html_theme_options = {
    "repository_url": "https://github.com/course/attention",
    "repository_branch": "main",
    "launch_buttons": {"colab_url": "https://colab.example"},
}
PY
cat > index.md <<'MD'
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---
# Attention

```{code-cell} ipython3
1 + 1
```
MD
python3 -m sphinx -Q -b html . out
python3 - <<'PY'
import re
from pathlib import Path

page = Path("out/index.html").read_text(encoding="utf-8")
colab = re.findall(r'href="(https://colab\.example[^"]*)"', page)
download = re.findall(r'href="([^"]*\.ipynb)"', page)
print("Colab button:", colab)
print("download:    ", download, "- made:", Path("out/_sources/index.ipynb").exists())
if colab != ["https://colab.example/github/course/attention/blob/main/index.md"]:
    raise SystemExit("changed: the Colab button no longer points to the text file")
if "_sources/index.ipynb" not in download or not Path("out/_sources/index.ipynb").exists():
    raise SystemExit("changed: the theme no longer makes a notebook of the page")
PY
