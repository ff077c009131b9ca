#!/usr/bin/env bash
# hatchling 1.27.0: in a folder with [ ] in its path the wheel has no licence
#
# One would expect: a file named in license-files is in every wheel, or the build fails.
# What happens: hatchling joins the project's own path to the pattern and hands both to
#   glob. Where the path holds a character of a pattern, nothing matches, and the wheel
#   is built without the file and without a word.
# Seen: LICENSE in the wheel of the folder "course", none in that of "course [1]".
# Why it matters: a browser that downloads an archive twice names it like that. The
#   licence asks to be passed on with every copy.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
cd "$tmp"
python3 -m pip install --quiet --no-compile hatchling==1.27.0
for folder in "course" "course [1]"; do
    mkdir -p "$folder/small"
    touch "$folder/small/__init__.py"
    echo "Do as you like." > "$folder/LICENSE"
    cat > "$folder/pyproject.toml" <<'TOML'
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "small"
version = "1"
license-files = ["LICENSE"]
TOML
    (cd "$folder" && python3 -m hatchling build -t wheel -d "$tmp/wheels $folder" >/dev/null 2>&1)
done
python3 - <<'PY'
import pathlib
import zipfile

seen = {}
for wheel in sorted(pathlib.Path().glob("wheels*/*.whl")):
    names = zipfile.ZipFile(wheel).namelist()
    seen[wheel.parent.name.removeprefix("wheels ")] = any(name.endswith("LICENSE") for name in names)
print("licence in the wheel:", seen)
if seen != {"course": True, "course [1]": False}:
    raise SystemExit("changed: the licence no longer depends on the name of the folder")
PY
