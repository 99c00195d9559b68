"""The docstrings of a source file, and what each belongs to."""

import ast
from dataclasses import dataclass

from bindings import dotted

# Modules that hold docstrings of a module's functions as plain strings.
STRINGS = {"mpmath.function_docs": "mpmath"}
SPECIAL = "scipy.special"


@dataclass(frozen=True)
class Docstring:
    """A docstring, and the module and the path in it of what it documents."""

    module: str
    path: str
    text: str


def docstrings(source):
    """The docstrings of public functions, classes and methods of a file that is not about example data."""
    if source.is_stub or "examples" in source.module.split("."):
        return
    yield from within(source.module, source.tree.body, "")
    for node in source.tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from added(source.module, node.value)
        if source.module in STRINGS and isinstance(node, ast.Assign):
            text = string(node.value)
            for target in node.targets:
                if text and isinstance(target, ast.Name):
                    yield Docstring(STRINGS[source.module], target.id, cleaned(text))


def within(module, body, prefix):
    """The docstrings of definitions among statements."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.name.startswith("_"):
                continue
            text = ast.get_docstring(node, clean=False)
            if text:
                yield Docstring(module, prefix + node.name, cleaned(text))
            if isinstance(node, ast.ClassDef):
                yield from within(module, node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.If, ast.Try)):
            yield from within(module, node.body, prefix)
            yield from within(module, node.orelse, prefix)


def added(module, call):
    """Docstrings that NumPy, SciPy and PyTorch attach to compiled functions by a call."""
    name = getattr(call.func, "id", None) or getattr(call.func, "attr", "")
    arguments = call.args
    if name == "add_newdoc" and len(arguments) == 3:
        place, item = string(arguments[0]), string(arguments[1])
        if not place or not item:
            return
        many = arguments[2].elts if isinstance(arguments[2], ast.List) else [arguments[2]]
        for one in many:
            pair = one.elts if isinstance(one, ast.Tuple) and len(one.elts) == 2 else [None, one]
            member = string(pair[0]) if pair[0] is not None else None
            text = string(pair[1])
            if text and not (pair[0] is not None and not member):
                yield Docstring(place, f"{item}.{member}" if member else item, cleaned(text))
    elif name == "add_newdoc" and len(arguments) == 2 and module.startswith(SPECIAL):
        item, text = string(arguments[0]), string(arguments[1])
        if item and text:
            yield Docstring(SPECIAL, item, cleaned(text))
    elif name == "add_docstr" and len(arguments) == 2:
        path, text = dotted(arguments[0]), string(arguments[1])
        if text and path and path.startswith("torch."):
            yield Docstring("torch", path[len("torch.") :], cleaned(text))
    elif name == "add_docstr_all" and len(arguments) == 2:
        item, text = string(arguments[0]), string(arguments[1])
        if item and text:
            yield Docstring("torch", f"Tensor.{item}", cleaned(text))


def string(node):
    """The text of a string literal, also of a sum of literals or one that is formatted."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = string(node.left), string(node.right)
        return left + right if left is not None and right is not None else left or right
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "format":
        text = string(node.func.value)
        return text.replace("{{", "{").replace("}}", "}") if text is not None else None
    return None


def cleaned(text):
    """The docstring without the indentation of its lines."""
    lines = text.expandtabs().splitlines() or [""]
    margins = [len(line) - len(line.lstrip(" ")) for line in lines[1:] if line.strip()]
    margin = min(margins, default=0)
    lines = [lines[0].strip(), *(line[margin:].rstrip() for line in lines[1:])]
    return "\n".join(lines).strip("\n")
