"""Rules of CONTRIBUTING that no tool knows, as questions to the source of a module."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_NAMED = (*_FUNCTIONS, ast.ClassDef)
_IMPORTERS = ("import_module", "__import__")


def yields_inside_acting_as(source: str) -> list[int]:
    """The lines that do so; another delivery would run there as this owner."""
    return sorted(
        {
            inner.lineno
            for outer in ast.walk(ast.parse(source))
            if isinstance(outer, (ast.With, ast.AsyncWith)) and _changes_identity(outer)
            for statement in outer.body
            for inner in _same_function(statement)
            if isinstance(inner, (ast.Yield, ast.YieldFrom, ast.Await))
        }
    )


def late_imports(source: str) -> set[str]:
    """Functions and methods that import something when they are called."""
    return set(_late_imports(ast.parse(source), ()))


def _changes_identity(statement: ast.With | ast.AsyncWith) -> bool:
    return any(
        isinstance(item.context_expr, ast.Call)
        and _last_name(item.context_expr.func) in ("acting_as", "inside")
        for item in statement.items
    )


def _same_function(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is in it, without the functions that it only defines."""
    if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _same_function(child)


def _late_imports(node: ast.AST, path: tuple[str, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        name = (*path, child.name) if isinstance(child, _NAMED) else path
        if isinstance(child, _FUNCTIONS) and _any_import(child):
            yield ".".join(name)
        yield from _late_imports(child, name)


def _any_import(function: ast.AST) -> bool:
    return any(
        _imports(node)
        for child in ast.iter_child_nodes(function)
        for node in _same_function(child)
    )


def _imports(node: ast.AST) -> bool:
    return isinstance(node, (ast.Import, ast.ImportFrom)) or (
        isinstance(node, ast.Call) and _last_name(node.func) in _IMPORTERS
    )


def _last_name(node: ast.expr) -> str:
    """`acting_as` of both `acting_as` and `privileges.acting_as`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
