"""The direction of imports: lower rooms never import upper ones, and nothing goes in a circle."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each room with the rooms that it may import from; its own is always allowed.
MAY_IMPORT = {
    "retrieval_index": set(),
    "eval": {"retrieval_index"},
    "rac": {"retrieval_index", "eval"},
    "training": {"retrieval_index", "eval", "rac"},
}
# The top of the house, which may import everything: the command line and the front door for Python.
TOP = ("rac.cli", "rac.api")
# The package itself names what lies behind the door; it imports nothing before it is asked for.
DOOR = "rac"


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, *, only_at_import_time: bool = False) -> set[str]:
    """The absolute names that a module imports; relative imports are resolved."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(_import_time_nodes(tree)) if only_at_import_time else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            module = node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def _import_time_nodes(tree: ast.AST):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _import_time_nodes(node)


def modules() -> dict[str, Path]:
    return {module_name(path): path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_from_below(room: str) -> None:
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[room] - {room}
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules().items()
        if name.split(".")[0] == room and not name.startswith(TOP) and name != DOOR
        for imported in imports_of(path)
        if imported.split(".")[0] in forbidden or imported.startswith(TOP)
    ]
    assert modules(), "the test looks at no module at all"
    assert wrong == []


def test_no_circle_of_imports() -> None:
    known = modules()
    graph = {
        name: {
            imported
            for imported in imports_of(path, only_at_import_time=True)
            if imported in known and imported != name
        }
        for name, path in known.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for imported in sorted(graph[name]):
            visit(imported, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_rac_and_its_help_import_nothing_heavy() -> None:
    """`rac --help` stays fast: no heavy package may be loaded before a command needs it.

    Guards against imports inside ``main``, which importing its module does not show.
    """
    code = (
        "import sys, rac.cli.app\n"
        "sys.argv = ['rac', '--help']\n"
        "try:\n"
        "    rac.cli.app.main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'torch', 'numpy', 'faiss', 'pyarrow', 'open_clip', 'sklearn', 'datasets',"
        " 'matplotlib', 'pytorch_lightning', 'pydantic', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert "Commands" in result.stdout
    assert result.stderr.strip() == "[]"
