"""Calls of library functions in the code of an example, in the order in which they run.

A value is followed only where its class is certain: it was constructed in the example, or the annotation of
the function or method that returned it names the class. Of the methods of other values only the documented one
counts.
"""

import ast
from dataclasses import dataclass

from bindings import Class, Function, Module, absolute
from conventions import ACCESSORS, ALIASES, ARRAYS, COMMON, OTHERS
from namespace import Target


@dataclass(frozen=True)
class Path:
    """A module, class or function by its full name, as the example writes it."""

    name: str


@dataclass(frozen=True)
class Instance:
    """An object of a known class; `name` is the class as written, or None if it has no public name."""

    name: str | None
    cls: Target


@dataclass(frozen=True)
class Member:
    """An attribute of an object; `owner` is None if the class of the object is not known."""

    owner: Instance | None
    attribute: str


@dataclass(frozen=True)
class Call:
    """One call: its full name and the definition, where there is one in the sources."""

    name: str
    target: Target | None


class Reader:
    """Reads one documented object's examples, statement by statement."""

    def __init__(self, namespace, library, documented):
        self.namespace = namespace
        self.documented = documented  # the Target that the docstring belongs to
        self.names = {}
        self.aliases = {**COMMON, **ALIASES.get(library, {})}
        self.calls = []

    def run(self, tree):
        """The calls of a parsed piece of code."""
        self.calls = []
        self.body(tree.body)
        return self.calls

    # Statements.

    def body(self, statements):
        for node in statements:
            self.statement(node)

    def statement(self, node):
        if isinstance(node, ast.Import):
            for item in node.names:
                path = item.name if item.asname else item.name.split(".")[0]
                self.names[item.asname or path] = Path(path)
        elif isinstance(node, ast.ImportFrom):
            self.import_from(node)
        elif isinstance(node, ast.Assign):
            value = self.expression(node.value)
            for target in node.targets:
                self.bind(target, node.value, value)
        elif isinstance(node, ast.AnnAssign):
            value = self.expression(node.value) if node.value is not None else None
            self.bind(node.target, node.value, value)
        elif isinstance(node, ast.AugAssign):
            self.expression(node.value)
            self.bind(node.target, None, None)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self.expression(node.iter)
            self.bind(node.target, None, None)
            self.body(node.body)
            self.body(node.orelse)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self.expression(item.context_expr)
                if item.optional_vars is not None:
                    self.bind(item.optional_vars, None, None)
            self.body(node.body)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.decorators(node)
            self.names[node.name] = None
            self.scope(node.args, lambda: self.body(node.body))
        elif isinstance(node, ast.ClassDef):
            self.decorators(node)
            self.names[node.name] = None
            self.scope(None, lambda: self.body(node.body))
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.stmt):
                    self.statement(child)
                elif isinstance(child, ast.expr):
                    self.expression(child)
                elif isinstance(child, ast.ExceptHandler):
                    self.body(child.body)

    def import_from(self, node):
        source = absolute("", False, node.level, node.module)
        for item in node.names:
            if item.name == "*":
                module = self.namespace.resolve(source)
                if isinstance(module, Module):
                    for name in self.namespace.names(module):
                        found = self.namespace.lookup(module, name)
                        direct = isinstance(found, Module) and not private(found.name)
                        self.names[name] = Path(found.name if direct else f"{source}.{name}")
            else:
                self.names[item.asname or item.name] = Path(f"{source}.{item.name}")

    def decorators(self, node):
        """A decorator is a call of its function, whether or not it has arguments."""
        for mark in node.decorator_list:
            value = self.expression(mark)
            if not isinstance(mark, ast.Call):
                self.call(value)

    def scope(self, arguments, read):
        """Read a function's or class's body, where the arguments hide other names."""
        outside = dict(self.names)
        if arguments is not None:
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            every += [item for item in (arguments.vararg, arguments.kwarg) if item]
            self.names.update({item.arg: None for item in every})
        read()
        self.names = outside

    def bind(self, target, node, value):
        if isinstance(target, ast.Name):
            self.names[target.id] = value if isinstance(value, (Path, Instance)) else None
        elif isinstance(target, (ast.Tuple, ast.List)):
            for item in target.elts:
                self.bind(item, None, None)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, None, None)
        else:
            self.expression(target)

    # Expressions.

    def expression(self, node):
        """Read an expression, and say what its value is where that is known."""
        if isinstance(node, ast.Name):
            return self.name(node.id)
        if isinstance(node, ast.Attribute):
            return self.attribute(self.expression(node.value), node.attr)
        if isinstance(node, ast.Call):
            function = self.expression(node.func)
            for argument in node.args:
                self.expression(argument)
            for keyword in node.keywords:
                self.expression(keyword.value)
            return self.call(function)
        if isinstance(node, ast.NamedExpr):
            value = self.expression(node.value)
            self.bind(node.target, node.value, value)
            return value
        if isinstance(node, ast.Lambda):
            self.scope(node.args, lambda: self.expression(node.body))
            return None
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            self.scope(None, lambda: self.comprehension(node))
            return None
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.expression(child)
        return None

    def comprehension(self, node):
        for generator in node.generators:
            self.expression(generator.iter)
            self.bind(generator.target, None, None)
            for condition in generator.ifs:
                self.expression(condition)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for part in parts:
            self.expression(part)

    def name(self, name):
        """A name of the example, else one of the documentation, else one of the docstring's module."""
        if name in self.names:
            return self.names[name]
        if name in self.aliases:
            return Path(self.aliases[name])
        module = self.namespace.modules.get(self.documented.module)
        found = self.namespace.lookup(module, name) if module else None
        if isinstance(found, Module):
            return Path(found.name)
        if found is not None:
            path = self.namespace.public_path(found)
            return Path(path) if path else None
        return None

    def attribute(self, value, attribute):
        if isinstance(value, Path):
            return Path(f"{value.name}.{attribute}")
        if isinstance(value, Instance):
            member = self.namespace.member(value.cls, attribute)
            if member is not None and isinstance(member.binding, Function) and member.binding.is_property:
                return self.property(value, attribute, member)
            return Member(value, attribute)
        return Member(None, attribute)

    def property(self, value, attribute, member):
        """The object that a property gives."""
        cls = self.namespace.returned(member, value.cls)
        if cls is None:
            return None
        if attribute in ACCESSORS:
            return Instance(f"{value.name}.{attribute}" if value.name else None, cls)
        return self.instance(cls, value)

    def instance(self, cls, receiver):
        if receiver is not None and cls.key == receiver.cls.key:
            return receiver
        return Instance(self.namespace.public_path(cls), cls)

    # Calls.

    def call(self, function):
        """Note the call of a function, and say what it returns where that is known."""
        if isinstance(function, Path):
            return self.call_path(function.name)
        if isinstance(function, Member):
            return self.call_member(function)
        return None

    def call_path(self, name):
        target = self.namespace.resolve(name)
        if isinstance(target, Module):
            return None
        if private(name):
            name = self.namespace.public_path(target) if target is not None else None
        root = (name or "").split(".")[0]
        if not name or "." not in name or not (root in self.namespace.modules or root in OTHERS):
            return None
        self.calls.append(Call(name, target))
        if name.startswith("numpy.") and name[len("numpy.") :] in ARRAYS:
            array = self.namespace.resolve("numpy.ndarray")
            return Instance("numpy.ndarray", array) if array is not None else None
        if target is None:
            return None
        if isinstance(target.binding, Class):
            # A class of SymPy that evaluates itself may return an object of another one.
            evaluates = self.namespace.member(target, "eval") is not None
            return None if evaluates else Instance(name, target)
        owner = self.owner(name)
        cls = self.namespace.returned(target, owner.cls if owner else None)
        return self.instance(cls, owner) if cls is not None else None

    def owner(self, name):
        """The class in front of a method's name, as an instance of it."""
        path = name.rpartition(".")[0]
        cls = self.namespace.resolve(path)
        if isinstance(cls, Target) and isinstance(cls.binding, Class):
            return Instance(path, cls)
        return None

    def call_member(self, member):
        owner = member.owner
        if owner is None:
            return self.call_documented(member.attribute)
        target = self.namespace.member(owner.cls, member.attribute)
        if owner.name and not private(owner.name) and not member.attribute.startswith("_"):
            self.calls.append(Call(f"{owner.name}.{member.attribute}", target))
        cls = self.namespace.returned(target, owner.cls) if target is not None else None
        return self.instance(cls, owner) if cls is not None else None

    def call_documented(self, attribute):
        """A method of an unknown object is the documented one if it has its name."""
        target = self.documented
        cls, _, name = target.path.rpartition(".")
        if not cls or name != attribute:
            return None
        path = self.namespace.public_path(target)
        if path is None:
            return None
        self.calls.append(Call(path, target))
        owner = self.owner(path)
        returned = self.namespace.returned(target, owner.cls if owner else None)
        return self.instance(returned, owner) if returned is not None else None


def private(name):
    """Whether a name has a part that is not for users."""
    return any(part.startswith("_") for part in name.split("."))
