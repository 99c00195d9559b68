"""What a source file binds: its imports, functions, classes with their members, and other names."""

import ast
from dataclasses import dataclass, field


@dataclass
class Import:
    """`import module` (name is None), or `from module import name`."""

    module: str
    name: str | None


@dataclass
class Alias:
    """A name assigned from another: `name = other.name`."""

    path: str


@dataclass
class Unknown:
    """A name bound to what the source does not tell."""


@dataclass
class Function:
    """A function with its return annotation, if that is the same in every overload."""

    returns: ast.expr | None
    is_property: bool = False
    is_overload: bool = False


@dataclass
class Class:
    """A class, its bases as written, and its members."""

    bases: list[str]
    members: dict[str, object] = field(default_factory=dict)


@dataclass
class Module:
    """What one source file binds."""

    name: str
    is_package: bool
    bindings: dict[str, object] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    listed: list[str] | None = None  # __all__, where all of it is spelled out
    is_listed: bool = True


def dotted(node):
    """The text of `a.b.c`, or None for any other expression."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def absolute(module, is_package, level, name):
    """The full name of the module that a `from` import of `level` dots names."""
    if not level:
        return name or ""
    parts = module.split(".")
    parts = parts[: len(parts) - level + (1 if is_package else 0)]
    return ".".join([*parts, *([name] if name else [])])


def read_module(name, is_package, tree):
    """The bindings of one parsed file."""
    module = Module(name, is_package)
    collect(module, tree.body, module.bindings, replace=True)
    return module


def collect(module, body, into, replace):
    """Add the bindings of statements; those of branches do not replace earlier ones."""

    def bind(name, binding):
        old = into.get(name)
        if isinstance(old, Function) and isinstance(binding, Function) and old.is_overload:
            if binding.is_overload and not same(old.returns, binding.returns):
                binding.returns = None
        elif old is not None and not replace:
            return
        into[name] = binding

    for node in body:
        if isinstance(node, ast.Import):
            for item in node.names:
                path = item.name if item.asname else item.name.split(".")[0]
                bind(item.asname or path, Import(path, None))
        elif isinstance(node, ast.ImportFrom):
            source = absolute(module.name, module.is_package, node.level, node.module)
            for item in node.names:
                if item.name == "*":
                    module.stars.append(source)
                else:
                    bind(item.asname or item.name, Import(source, item.name))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            bind(node.name, function(node))
        elif isinstance(node, ast.ClassDef):
            bases = [dotted(subscripted(base)) for base in node.bases]
            cls = Class([base for base in bases if base])
            collect(module, node.body, cls.members, replace=True)
            bind(node.name, cls)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            assign(module, node, into, bind)
        elif isinstance(node, ast.If):
            collect(module, node.body, into, replace=False)
            collect(module, node.orelse, into, replace=False)
        elif isinstance(node, ast.Try):
            for part in (node.body, *(handler.body for handler in node.handlers), node.orelse):
                collect(module, part, into, replace=False)
        elif isinstance(node, ast.With):
            collect(module, node.body, into, replace=False)


def same(left, right):
    """Whether two annotations are written alike."""
    return left is not None and right is not None and ast.dump(left) == ast.dump(right)


def subscripted(node):
    """`X` of `X[...]`."""
    return node.value if isinstance(node, ast.Subscript) else node


def function(node):
    """The binding of a function definition."""
    marks = [(dotted(mark) or "").split(".")[-1] for mark in node.decorator_list]
    is_property = any(mark in ("property", "cached_property", "cache_readonly") for mark in marks)
    returns = node.returns
    if "contextmanager" in marks or isinstance(node, ast.AsyncFunctionDef):
        returns = None
    return Function(returns, is_property, "overload" in marks)


def assign(module, node, into, bind):
    """Bind the targets of an assignment."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    if "__all__" in names and into is module.bindings:
        add_listed(module, node)
        return
    path = dotted(node.value) if node.value is not None else None
    if path is None and isinstance(node.value, ast.Call) and into is not module.bindings:
        # pandas: str = Accessor("str", StringMethods)
        last = dotted(node.value.args[-1]) if len(node.value.args) == 2 else None
        if last and (dotted(node.value.func) or "").endswith("Accessor"):
            returns = ast.parse(last, mode="eval").body
            for name in names:
                bind(name, Function(returns, is_property=True))
            return
    for name in names:
        if path and path != name and not isinstance(node, ast.AugAssign):
            bind(name, Alias(path))
        elif name not in into:
            bind(name, Unknown())


def add_listed(module, node):
    """Read what `__all__` lists; where a part of it is computed, the list counts as unknown."""
    if isinstance(node.value, (ast.List, ast.Tuple)):
        texts = [item.value for item in node.value.elts if isinstance(item, ast.Constant)]
        module.is_listed = module.is_listed and len(texts) == len(node.value.elts)
        module.listed = [*(module.listed or []), *texts]
    else:
        module.is_listed = False
    if not module.is_listed:
        module.listed = None
