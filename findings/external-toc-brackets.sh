#!/usr/bin/env bash
# sphinx-external-toc 1.1.0, Sphinx 7.4.7: in a folder with [ ] in its path, files that the
# table of contents leaves out become pages
#
# One would expect: with external_toc_exclude_missing, a file that _toc.yml does not name
#   is no page, wherever the book lies.
# What happens: the files to leave out are found by a glob that begins with the book's own
#   path. Where that path holds a pattern, nothing is found and nothing left out.
# Seen: no page of the draft in "book", and one in "book [1]", with a warning of Sphinx that
#   the draft is in no table of contents.
# Why it matters: drafts and answers beside a book are published, or, where warnings are
#   errors, a book that was downloaded twice does not build.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
cd "$tmp"
python3 -m pip install --quiet --no-compile sphinx==7.4.7 sphinx-external-toc==1.1.0
for folder in "book" "book [1]"; do
    mkdir "$folder"
    printf 'Book\n====\n' > "$folder/index.rst"
    printf 'Draft\n=====\n' > "$folder/draft.rst"
    printf 'root: index\n' > "$folder/_toc.yml"
    printf 'extensions = ["sphinx_external_toc"]\nexternal_toc_exclude_missing = True\n' > "$folder/conf.py"
    python3 -m sphinx -q -b html "$folder" "out $folder" 2>/dev/null
    if [ -e "out $folder/draft.html" ]; then pages="a page"; else pages="no page"; fi
    echo "$folder: $pages of the draft"
done | tee seen
printf 'book: no page of the draft\nbook [1]: a page of the draft\n' | cmp -s - seen || {
    echo "changed: whether a draft is left out no longer depends on the name of the folder"
    exit 1
}
