"""What the tests of notebooks read in them."""

import ast
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))


def read(path):
    """The notebook in a file."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    """Its code cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(notebook):
    """All its markdown as one text."""
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def modules_of(notebook):
    """The modules that it builds: names of files below azr_mini/, as its metadata lists them."""
    return notebook.metadata["azr_mini"]["modules"]


def python_of(source):
    """A cell's source without the lines that only IPython reads."""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line
                     for line in source.splitlines())  # fmt: skip


def definitions(tree):
    """The functions, classes and constants that a module or cell defines at its top level.

    A class counts method by method, so that a notebook may build a long one in several cells: the
    later ones begin with `class Name(Name):` and go on with it.
    """
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            methods = [inner for inner in node.body if isinstance(inner, ast.FunctionDef)]
            found |= {f"{node.name}.{method.name}": method for method in methods}
            if not goes_on(node):
                found[node.name] = without(node, methods)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node
    return found


def goes_on(node):
    """Whether a class only adds methods to a class of the same name."""
    is_base = [isinstance(base, ast.Name) and base.id == node.name for base in node.bases]
    only_methods = all(isinstance(inner, ast.FunctionDef) for inner in node.body)
    return is_base == [True] and only_methods and not node.decorator_list


def without(node, methods):
    """The class with what is left when these methods are taken out: bases, fields, decorators."""
    rest = [inner for inner in node.body if inner not in methods] or [ast.Pass()]
    return ast.ClassDef(node.name, node.bases, node.keywords, rest, node.decorator_list)


def normal_form(node):
    """The code of a definition as text, docstrings aside."""
    node = ast.parse(ast.unparse(node)).body[0]  # a copy
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner):
            inner.body = inner.body[1:] or [ast.Pass()]
    return ast.unparse(node)
