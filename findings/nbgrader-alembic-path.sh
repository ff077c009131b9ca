#!/usr/bin/env bash
# nbgrader 0.9.6: started from a venv that is not activated, it makes a gradebook
# without a version, once, and goes on
#
# One would expect: .venv/bin/python -m nbgrader works like nbgrader in the activated
#   environment; and if it fails, it fails the same way the second time.
# What happens: for a new gradebook nbgrader runs "alembic" by its bare name, which is
#   not on PATH. The first command fails, but has made the database; every later one
#   finds it there and works. The table with the schema's version is never made, and
#   "nbgrader db upgrade" then fails, activated or not.
# Seen: exit status 1, then 0; no table alembic_version; db upgrade: 1.
# Why it matters: "it worked when I ran it again" - until the release that changes the
#   schema, when the grades of the term are in that file.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
( . "$tmp/venv/bin/activate"
  python3 -m pip install --quiet --no-compile nbgrader==0.9.6 nbclient==0.11.0 nbformat==5.11.1 \
      nbconvert==7.17.2 ipykernel==7.4.0 SQLAlchemy==2.1.9 alembic==1.20.1 )
cd "$tmp"
export JUPYTER_CONFIG_DIR="$tmp/config" JUPYTER_DATA_DIR="$tmp/data" IPYTHONDIR="$tmp/ipython"
mkdir -p source/week1 plain
"$tmp/venv/bin/python" - <<'PY'
import nbformat
from nbformat.v4 import new_markdown_cell, new_notebook

nbformat.write(new_notebook(cells=[new_markdown_cell("Nothing to do.")]), "source/week1/read.ipynb")
PY
for name in env bash sh; do ln -s "$(command -v "$name")" "plain/$name"; done
status() {
    local code=0
    "$@" >log 2>&1 || code=$?
    echo "$code"
}
bare=(env "PATH=$tmp/plain" "$tmp/venv/bin/python" -m nbgrader generate_assignment week1 --force)
first=$(status "${bare[@]}")
grep "No such file or directory: 'alembic'" log || true
second=$(status "${bare[@]}")
tables=$("$tmp/venv/bin/python" -c "import sqlite3
names = sqlite3.connect('gradebook.db').execute(\"select name from sqlite_master where type='table'\")
print('alembic_version' in {name for (name,) in names})")
. "$tmp/venv/bin/activate"
upgrade=$(status nbgrader db upgrade)
echo "exit status, not activated: $first, then $second; table alembic_version: $tables"
echo "exit status of db upgrade, activated: $upgrade"
rm gradebook.db
activated=$(status nbgrader generate_assignment week1 --force)
again=$(status nbgrader db upgrade)
echo "a gradebook made in the activated environment: $activated, db upgrade: $again"
if [ "$first $second $tables $upgrade $activated $again" != "1 0 False 1 0 0" ]; then
    echo "changed: nbgrader finds alembic, or does not go on without it" >&2
    exit 1
fi
