"""The form of ``findings/``: what they show is seen by running them, which needs a network."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FINDINGS = Path(__file__).resolve().parent.parent / "findings"
SCRIPTS = sorted(FINDINGS.glob("*.sh"))
OURS = {"rac", "retrieval_index", "eval", "training", "tests"}
# What is imported by another name than the one it is installed by.
IMPORTED_AS = {
    "faiss-cpu": "faiss",
    "imbalanced-learn": "imblearn",
    "pillow": "PIL",
    "pytrec-eval-terrier": "pytrec_eval",
    "scikit-learn": "sklearn",
}
FORM = re.compile(
    r"""\A\#!/usr/bin/env\ bash\n
    (?:\#\ .+\n)+
    set\ -euo\ pipefail\n
    \n
    room=\$\(mktemp\ -d\)\n
    trap\ 'rm\ -rf\ "\$room"'\ EXIT\n
    "\$\{PYTHON:-python3\}"\ -m\ venv\ "\$room/venv"\n
    "\$room/venv/bin/pip"\ install\ --quiet\ --disable-pip-version-check\ \\\n
    \ {4}(?P<packages>.+)\n
    \n
    "\$room/venv/bin/python"\ -I\ -\ <<'PYTHON'\n
    (?P<code>.+\n)
    PYTHON\n\Z""",
    re.VERBOSE | re.DOTALL,
)
PINNED = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*==\d+(?:\.\d+)+")

each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def parts(script: Path) -> tuple[list[str], ast.Module]:
    """What a script installs, and the Python that it runs."""
    form = FORM.match(script.read_text(encoding="utf-8"))
    assert form is not None, (
        f"{script.name} is not of the form: strict bash, a temporary folder removed on exit, a "
        "virtual environment in it, one install of pinned packages, one Python text"
    )
    return form["packages"].split(), ast.parse(form["code"])


def test_nothing_else_lies_there_and_the_readme_lists_every_script() -> None:
    names = [script.name for script in SCRIPTS]
    assert len(names) >= 8
    assert sorted(path.name for path in FINDINGS.iterdir()) == sorted([*names, "README.md"])
    listed = re.findall(
        r"^- \[(.+)\]\((.+)\): .", (FINDINGS / "README.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(shown for shown, _ in listed) == names
    assert all(shown == target for shown, target in listed)


@each
def test_a_script_installs_pinned_packages_alone(script: Path) -> None:
    packages, code = parts(script)
    assert os.access(script, os.X_OK), "it cannot be run: chmod +x"
    assert [name for name in packages if not PINNED.fullmatch(name)] == []
    text = script.read_text(encoding="utf-8")
    assert not re.search(r"https?:|index-url|find-links|pypi", text), "it names a registry"
    installed = {name.partition("==")[0] for name in packages}
    known = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in installed}
    imported = {
        name.partition(".")[0]
        for node in ast.walk(code)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & OURS, "it shows what others do, without us"
    assert imported - set(sys.stdlib_module_names) <= known
    subject = packages[0].partition("==")[0]
    names = (subject, IMPORTED_AS.get(subject, subject).replace("_", "-"))
    assert script.name.startswith(names), f"its name says that it is about {subject}"


@each
def test_a_script_says_what_it_expected_and_closes_with_what_was_seen(script: Path) -> None:
    _, code = parts(script)
    last = code.body[-1]
    assert isinstance(last, ast.Expr)
    assert re.match(r"print\(f?['\"]SEEN .", ast.unparse(last)), "its last line is what was seen"
    said = [ast.unparse(node) for node in ast.walk(code) if isinstance(node, ast.Call)]
    for word in ("expected: ", "seen: "):
        assert any(re.match(rf"print\(f?['\"]{word}", one) for one in said), f"it prints no {word}"
    ends = [ast.unparse(node) for node in ast.walk(code) if isinstance(node, ast.Raise)]
    assert ends, "it never fails, so it would not notice a change"
    assert all(re.match(r"raise SystemExit\(f?['\"]CHANGED: ", one) for one in ends)


def test_the_shell_reads_every_script() -> None:
    for script in SCRIPTS:
        subprocess.run(["bash", "-n", script], check=True)
