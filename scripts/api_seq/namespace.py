"""Names of libraries, followed from import to import through their sources as Python would at run time.

Nothing is imported: a module is what `ast` shows of its file and of the stub (`.pyi`) beside it. What a
library binds by other means (compiled functions, `setattr`) is not seen, and a name of that kind leads nowhere.
"""

import ast
from dataclasses import dataclass, field

from bindings import Alias, Class, Function, Import, Module, Unknown, dotted, subscripted

# Packages that fill their namespace while they load, and where the stubs of those names are.
FILLED = {
    "torch": ["torch._C._VariableFunctions", "torch._C"],
    "torch.nn.functional": ["torch._C._nn"],
}
SELF = {"Self", "Self_", "T_Self", "_Self"}
DEPTH = 25  # of imports that lead to one another


@dataclass(frozen=True)
class Target:
    """A definition: the module it is in, its path there, and the binding."""

    module: str
    path: str
    binding: object = field(compare=False, hash=False)

    @property
    def key(self):
        """What tells this definition from all others."""
        return (self.module, self.path)


class Namespace:
    """All modules of all libraries."""

    def __init__(self):
        self.modules = {}
        self.children = {}
        self.public = {}
        self.accessors = {}
        self.memory = {}

    def add(self, module):
        """Add a module; of a module and its stub, the second fills the gaps of the first."""
        old = self.modules.get(module.name)
        if old is None:
            self.modules[module.name] = module
            parent, _, name = module.name.rpartition(".")
            self.children.setdefault(parent, set()).add(name)
            return
        for name, binding in module.bindings.items():
            mine = old.bindings.get(name)
            stubbed = isinstance(mine, Import) and isinstance(binding, Class)
            if mine is None or isinstance(mine, Unknown) or stubbed:
                old.bindings[name] = binding
            elif isinstance(mine, Class) and isinstance(binding, Class):
                for member, value in binding.members.items():
                    mine.members.setdefault(member, value)
            elif isinstance(mine, Function) and isinstance(binding, Function) and mine.returns is None:
                mine.returns = binding.returns
        old.stars += [star for star in module.stars if star not in old.stars]
        old.listed = old.listed or (module.listed if old.is_listed else None)

    def lookup(self, module, name, depth=0):
        """What `name` is in a module: a Module, a Target, or None."""
        if depth > DEPTH:
            return None
        key = (module.name, name)
        if key not in self.memory:
            self.memory[key] = None  # for imports in a circle
            self.memory[key] = self.find(module, name, depth)
        return self.memory[key]

    def find(self, module, name, depth):
        binding = module.bindings.get(name)
        found = self.follow(module, name, binding, depth) if binding is not None else None
        if found is not None and not isinstance(getattr(found, "binding", None), Unknown):
            return found
        submodule = self.modules.get(f"{module.name}.{name}")
        if submodule is not None and submodule is not module:
            return submodule
        for star in [*module.stars, *FILLED.get(module.name, [])]:
            source = self.modules.get(star)
            if source is None or (name.startswith("_") and name not in (source.listed or [])):
                continue
            starred = self.lookup(source, name, depth + 1)
            if starred is not None:
                return starred
        return found

    def follow(self, module, name, binding, depth):
        if isinstance(binding, Import):
            path = binding.module if binding.name is None else f"{binding.module}.{binding.name}"
            if binding.module == module.name and binding.name == name:
                return self.modules.get(path)
            return self.resolve(path, depth + 1)
        if isinstance(binding, Alias):
            first, _, rest = binding.path.partition(".")
            found = self.lookup(module, first, depth + 1) if first != name else None
            found = self.descend(found, rest.split(".") if rest else [], depth + 1)
            if found is not None:
                return found
        return Target(module.name, name, binding)

    def resolve(self, path, depth=0):
        """The Module or Target that a full dotted name leads to, or None."""
        first, *rest = path.split(".")
        return self.descend(self.modules.get(first), rest, depth)

    def descend(self, found, parts, depth=0):
        """Follow attributes from a module or class on."""
        for part in parts:
            if isinstance(found, Module):
                found = self.lookup(found, part, depth + 1)
            elif found is not None and isinstance(found.binding, Class):
                found = self.member(found, part, depth + 1)
            else:
                return None
        return found

    def member(self, cls, name, depth=0):
        """The definition of an attribute of a class, in it or in the first base that has it."""
        if depth > DEPTH:
            return None
        if name in cls.binding.members:
            binding = cls.binding.members[name]
            if isinstance(binding, Alias) and binding.path in cls.binding.members and binding.path != name:
                return self.member(cls, binding.path, depth + 1)
            return Target(cls.module, f"{cls.path}.{name}", binding)
        for base in cls.binding.bases:
            found = self.within(cls.module, base, depth + 1)
            if isinstance(found, Target) and isinstance(found.binding, Class) and found.key != cls.key:
                inherited = self.member(found, name, depth + 1)
                if inherited is not None:
                    return inherited
        return None

    def within(self, module, path, depth=0):
        """What a dotted name means inside a module."""
        first, *rest = path.split(".")
        module = self.modules.get(module)
        return self.descend(self.lookup(module, first, depth), rest, depth) if module else None

    def returned(self, target, receiver):
        """The class whose instance a function returns by its annotation: a Target, or None."""
        node = target.binding.returns if isinstance(target.binding, Function) else None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value.strip(), mode="eval").body
            except SyntaxError:
                return None
        path = dotted(subscripted(node)) if node is not None else None
        if path is None:
            return None
        if path.split(".")[-1] in SELF:
            return receiver
        found = self.within(target.module, path)
        if isinstance(found, Target) and isinstance(found.binding, Class):
            return found
        return None

    def names(self, module):
        """The public names of a module: those of `__all__`, else all without an underscore."""
        if module.listed:
            return sorted(set(module.listed))
        names = set(module.bindings) | self.children.get(module.name, set())
        for star in [*module.stars, *FILLED.get(module.name, [])]:
            source = self.modules.get(star)
            if source is not None and source is not module:
                names.update(source.listed or source.bindings)
        return sorted(name for name in names if not name.startswith("_"))

    def publish(self, root, private):
        """Find the public path of every definition of a library: the shortest that leads to it.

        Of paths of one length, one through the package that the definition is in goes first, then the
        order of the alphabet decides. `private` says which module names a user does not write.
        """
        front, seen = [(root, self.modules[root])], {root}
        while front:
            found, following = {}, []
            for path, module in front:
                names = set(self.names(module)) | {
                    name for name in self.children.get(module.name, ()) if not name.startswith("_")
                }
                for name in sorted(names):
                    target, full = self.lookup(module, name), f"{path}.{name}"
                    if isinstance(target, Module):
                        ours = target.name.split(".")[0] == root
                        if ours and full not in seen and full.count(".") < 5 and not private(full):
                            # The path by which the module is reached, once for each module and length.
                            following.append((full, target))
                    elif target is not None and target.module.split(".")[0] == root:
                        near = target.module.startswith(module.name)
                        found.setdefault(target.key, []).append((not near, full))
            for key, paths in found.items():
                self.public.setdefault(key, min(paths)[1])
            front = []
            for full, target in sorted(following, key=lambda item: item[0]):
                if target.name not in seen:
                    seen.add(target.name)
                    front.append((full, target))

    def publish_accessors(self, names):
        """Give the methods behind the properties `names` the path of the property: `pandas.Series.str`.

        Of several classes with one accessor, the last in the order of the alphabet gives the name.
        """
        for key, path in sorted(self.public.items(), key=lambda item: item[1]):
            cls = self.resolve(path)
            if not isinstance(cls, Target) or not isinstance(cls.binding, Class) or cls.key != key:
                continue
            for name in names:
                member = self.member(cls, name)
                if member is not None and isinstance(member.binding, Function) and member.binding.is_property:
                    found = self.returned(member, cls)
                    if found is not None:
                        self.accessors[found.key] = f"{path}.{name}"

    def public_path(self, target):
        """The name by which a user reaches a definition, or None."""
        cls, _, method = target.path.rpartition(".")
        for key, rest in ((target.key, ""), ((target.module, cls), f".{method}")):
            if key in self.accessors:
                return self.accessors[key] + rest
        head, _, rest = target.path.partition(".")
        path = self.public.get((target.module, head))
        return f"{path}.{rest}" if path and rest else path
