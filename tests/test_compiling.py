"""Modules that are compiled contain nothing that mypyc compiles wrongly, or not at all.

Each rule is something that Python does in one way and the compiled form in another,
perhaps only where something has failed. The lists of modules and of rules are long
enough that nobody remembers them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from importlib import import_module

import pytest

from postvirt.system.form import FORM
from scripts.compiling import ROOT, compiled_modules

Function = ast.FunctionDef | ast.Lambda


def own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What belongs to a function, and not to one inside it."""
    left: list[ast.AST] = [*function.body]
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, Function):
            left += ast.iter_child_nodes(node)


def yields(nodes: Sequence[ast.AST]) -> bool:
    return any(
        isinstance(one, ast.Yield | ast.YieldFrom)
        for node in nodes
        for one in ast.walk(node)
    )


def double_names(function: ast.FunctionDef) -> Iterator[str]:
    types: dict[str, set[str]] = {}
    for node in own(function):
        if isinstance(node, ast.ExceptHandler) and node.name and node.type:
            types.setdefault(node.name, set()).add(ast.unparse(node.type))
    for name, kinds in types.items():
        if len(kinds) > 1:
            yield f"{name} is an exception of more than one type"


def is_empty(function: ast.FunctionDef) -> bool:
    """Whether there is nothing but, perhaps, a docstring: to mypyc it is abstract."""
    return all(
        isinstance(one, ast.Pass)
        or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        for one in function.body
    )


def does_nothing(call: ast.Call) -> bool:
    """Whether it only answers something, so that it may be called twice."""
    *_, name = ast.unparse(call.func).split(".")
    return name in ("len", "min", "max", "end", "find", "rfind", "index", "lstrip")


def mistakes(tree: ast.AST) -> Iterator[str]:
    """What must not be in a module that is compiled."""
    abstract = {
        id(function)
        for one in ast.walk(tree)
        if isinstance(one, ast.ClassDef)
        and any(ast.unparse(base) == "Protocol" for base in one.bases)
        for function in one.body
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield from double_names(node)
            is_abstract = id(node) in abstract or any(
                ast.unparse(one) == "abstractmethod" for one in node.decorator_list
            )
            returns = node.returns and ast.unparse(node.returns)
            if is_empty(node) and returns != "None" and not is_abstract:
                yield f"{node.name} returns nothing, and its type is not None"
        elif isinstance(node, ast.Lambda) and (node.args.vararg or node.args.kwarg):
            yield "a lambda for any arguments"
        elif isinstance(node, ast.Slice):
            for bound in (node.lower, node.upper):
                for call in ast.walk(bound) if bound else ():
                    if isinstance(call, ast.Call) and not does_nothing(call):
                        yield f"{ast.unparse(call)} may be called twice"
        elif isinstance(node, ast.ExceptHandler) and yields(node.body):
            yield "a yield in an except clause"


@pytest.mark.parametrize("module", compiled_modules())
def test_it_can_be_compiled(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text())
    assert list(mistakes(tree)) == []


@pytest.mark.parametrize(
    ("source", "mistake"),
    [
        (
            "def f():\n try: g()\n except A as e: h(e)\n except B as e: i(e)",
            "e is an exception of more than one type",
        ),
        ("def f():\n try: g()\n except A as e: yield e", "a yield in an except clause"),
        ("x = x[f():]", "f() may be called twice"),
        ("signal(1, lambda *_: None)", "a lambda for any arguments"),
        ("def f() -> int | None: pass", "f returns nothing, and its type is not None"),
    ],
)
def test_what_cannot_is_found(source: str, mistake: str) -> None:
    assert list(mistakes(ast.parse(source))) == [mistake]


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n try: g()\n except A as e: h(e)\n except B as d: i(d)",
        "def f():\n try: yield 1\n except A: pass\n finally: g()",
        "x = x[len(y) :]",
        "class P(Protocol):\n def f(self) -> int:\n  '''What.'''",
        "def f() -> None: pass",
    ],
)
def test_what_looks_like_it_can(source: str) -> None:
    assert list(mistakes(ast.parse(source))) == []


def test_no_interpreted_class_is_derived_from_a_compiled_one() -> None:
    """It could not be imported."""
    compiled = {ROOT / module for module in compiled_modules()}
    found = []
    for path in (ROOT / "postvirt").rglob("*.py"):
        if path in compiled:
            continue
        tree = ast.parse(path.read_text())
        imported = {
            name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            if ROOT / f"{node.module.replace('.', '/')}.py" in compiled
            for name in node.names
        }
        found += [
            f"{path.relative_to(ROOT)}: {node.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            if imported.intersection(map(ast.unparse, node.bases))
        ]
    assert found == []


def test_the_compiled_form_is_that_of_these_sources() -> None:
    """One library with what is listed, and not older than the source of any of it."""
    libraries = list((ROOT / "postvirt").rglob("*.so"))
    assert [path.name.partition(".")[0] for path in libraries] == (
        ["compiled__mypyc"] if FORM == "compiled" else []
    )
    sources = {ROOT / module for module in compiled_modules()}
    newest = max(path.stat().st_mtime for path in sources)
    for library in libraries:
        assert newest <= library.stat().st_mtime, "scripts/compile [--remove]"


@pytest.mark.skipif(FORM != "compiled", reason="runs as plain Python")
@pytest.mark.parametrize("module", compiled_modules())
def test_it_is_imported_from_the_library(module: str) -> None:
    name = module.removesuffix(".py").replace("/", ".")
    assert str(import_module(name).__file__).endswith(".so")
