"""Pages as notebooks: the cells of a section, from its source, and a page that fills them."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from lenet.chapter.page import Page, console


class Inline(Page):
    """A page that displays its figures where a notebook shows the output of a cell."""

    def _figure(self, name: str, picture: bytes, caption: str) -> None:
        from IPython.display import Image, display  # in a notebook it is there

        display(Image(picture, alt=caption))
        self._print("figure", caption, 2, file=name)


def page(language: str = "en") -> Page:
    """Return a page for the cells of a notebook: it prints below them, and writes no file."""
    return Inline(language, Path(), console())


class Cell(NamedTuple):
    """One cell of a notebook."""

    kind: str  # "say": a text of the catalogue; "code"
    source: str


def cells(fill: Callable[[Page], None]) -> list[Cell]:
    """Return the body of a section as cells, after those with the imports and functions it needs.

    A sentence becomes a cell of text. Code is cut where the source has an empty line.
    """
    module = sys.modules[fill.__module__]
    lines = inspect.getsource(module).splitlines()
    tree = ast.parse("\n".join(lines))
    (function,) = (
        n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == fill.__name__
    )
    body = [Cell("code", source) for source in _before(tree, lines, function)]
    code: list[str] = []
    end = function.body[0].end_lineno or 0  # of the docstring
    for statement in function.body[1:]:
        begin, after = end, statement.end_lineno or 0
        said = _said(statement)
        gap = any(not line.strip() for line in lines[begin : statement.lineno - 1])
        if code and (said is not None or gap):
            body.append(Cell("code", _dedent(code)))
            code = []
        if said is not None:
            body.append(Cell("say", said))
        else:
            code += lines[begin:after]
        end = after
    return [*body, *([Cell("code", _dedent(code))] if code else [])]


def _said(statement: ast.stmt) -> str | None:
    """Return the text of `page.say("...")`; None of another statement."""
    match statement:
        case ast.Expr(
            ast.Call(
                ast.Attribute(ast.Name("page"), "say"), [ast.Constant(str() as text)], keywords=[]
            )
        ):
            return text
    return None


def _before(tree: ast.Module, lines: list[str], function: ast.FunctionDef) -> Iterator[str]:
    """Yield the imports that a function needs, and the definitions, those of its needs included."""
    defined = {name: node for node in tree.body for name in _names(node)}
    found: list[ast.stmt] = []
    todo, used = list(function.body), set[str]()
    while todo:
        uses = {n.id for n in ast.walk(todo.pop()) if isinstance(n, ast.Name)} & defined.keys()
        new = {defined[name] for name in uses} - {*found, function}
        used |= uses
        found += new
        todo += new
    imports = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and node in found:
            node.names = [a for a in node.names if (a.asname or a.name.partition(".")[0]) in used]
            imports.append(ast.unparse(node))
    yield "\n".join(imports)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.FunctionDef) and node in found:
            yield "\n".join(lines[node.lineno - 1 : node.end_lineno])


def _names(node: ast.stmt) -> list[str]:
    """Return the names that a statement of a module defines."""
    match node:
        case ast.Import(names) | ast.ImportFrom(_, names):
            return [alias.asname or alias.name.partition(".")[0] for alias in names]
        case ast.FunctionDef(name):
            return [name]
        case ast.Assign(targets):
            return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        case ast.AnnAssign(ast.Name(name)):
            return [name]
    return []


def _dedent(code: list[str]) -> str:
    return textwrap.dedent("\n".join(code)).strip("\n")
