"""Contracts for import-linter that also see the modules that are imported by a name in a string."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp
from importlinter import ContractCheck
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

PACKAGE = Path(__file__).resolve().parents[1] / "attncourse"


def named_in_strings(graph: grimp.ImportGraph) -> list[tuple[str, str]]:
    """Pairs of a module and another that one of its strings names: as good as an import."""
    found = []
    for module in sorted(graph.modules):
        path = PACKAGE.joinpath(*module.split(".")[1:])
        file = path / "__init__.py"
        if not file.is_file():  # not is_dir(): a room that became a file leaves __pycache__ behind
            file = path.with_suffix(".py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value.partition(":")[0]
                if name in graph.modules and name not in (module, "attncourse"):
                    found.append((module, name))
    return found


class _WithStrings:
    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        for importer, imported in named_in_strings(graph):
            if not graph.direct_import_exists(importer=importer, imported=imported):
                graph.add_import(importer=importer, imported=imported)
        return super().check(graph, verbose)  # type: ignore[misc]


class Layers(_WithStrings, LayersContract):
    """import-linter's layers."""


class Forbidden(_WithStrings, ForbiddenContract):
    """import-linter's forbidden imports."""


class Acyclic(_WithStrings, AcyclicSiblingsContract):
    """import-linter's siblings without a circle."""
