"""The house is as CONTRIBUTING says, and import-linter is told of every import."""

import re
import tomllib

import grimp
from conftest import ROOT
from contracts import named_in_strings

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]


def floors_of_the_contract():
    [floors] = [
        contract["layers"]
        for contract in SETTINGS["importlinter"]["contracts"]
        if contract.get("containers") == ["attncourse"]
    ]
    names = [{name.strip() for name in floor.split("|")} for floor in reversed(floors)]
    return {name: number for number, floor in enumerate(names) for name in floor}


def test_the_table_of_contributing_is_the_contract_that_is_checked():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)(?:/|\.py)` \|", text, re.MULTILINE)
    assert {room: int(floor) for floor, room in rows} == floors_of_the_contract()


def test_every_room_has_a_floor():
    package = ROOT / "attncourse"
    rooms = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__"} == floors_of_the_contract().keys()


def test_an_import_by_a_name_in_a_string_counts():
    graph = grimp.build_graph("attncourse", cache_dir=None)
    referee, batch = "attncourse.instructor.referee", "attncourse.instructor.batch"
    found = named_in_strings(graph)
    assert (f"{referee}.launching", f"{referee}.nursery") in found  # a program of its own
    assert (f"{batch}.local", f"{batch}.job") in found  # loaded by the fork server
    assert not graph.direct_import_exists(
        importer=f"{referee}.launching", imported=f"{referee}.nursery"
    )
