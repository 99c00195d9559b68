"""The pair of a docstring: its summary, and the calls of its example."""

import ast
import warnings
from dataclasses import dataclass

from bindings import Class
from calls import Reader
from examples import blocks, summary
from namespace import Target
from sentences import input_of

NAMES = range(1, 9)
MAGIC = ("%", "!", "?", "$")  # lines for a shell or a notebook


@dataclass(frozen=True)
class Pair:
    """An input and its output; with a reason, it is one that was dropped."""

    library: str
    unit: str  # the module that defines the API
    api: str
    input: str
    output: str
    reason: str | None = None


def pair(namespace, library, docstring):
    """The pair of a docstring, or None where it has no example."""
    parts = blocks(docstring.text)
    if not parts:
        return None
    target = namespace.descend(namespace.modules.get(docstring.module), docstring.path.split("."))
    place = f"{docstring.module}.{docstring.path}"
    text, why = input_of(summary(docstring.text))
    if not isinstance(target, Target):
        return Pair(
            library, docstring.module, place, text, "", "documented API that the sources do not lead to"
        )
    api = namespace.public_path(target)
    if getattr(target.binding, "is_property", False):
        return Pair(library, target.module, api or place, text, "", "a property, which is not called")
    calls, found, complete = example(Reader(namespace, library, target), parts, target, api)
    names = collapsed([call.name for call in calls])
    if why is None and not complete:
        why = "example that is not Python"
    elif why is None and not names:
        why = "no call of a library in the example"
    elif why is None and found is None:
        why = "documented API that its example does not call"
    elif why is None and len(names) not in NAMES:
        why = f"output of more than {NAMES.stop - 1} names"
    return Pair(library, target.module, found or api or place, text, " ".join(names), why)


def example(reader, parts, target, api):
    """The calls of the first blocks, up to and with the one that calls the documented API.

    Also the name of that API in them, or None, and whether all that was read is Python.
    """
    calls = []
    for part in parts:
        for code in pieces(part):
            if code is None:
                return calls, None, False
            calls += reader.run(code)
        found = documented(target, api, calls)
        if found is not None:
            return calls, found, True
    return calls, None, True


def pieces(part):
    """Trees of the code of a block, where each line of a statement may have a prompt; None for an error."""
    pending = ""
    for code in part:
        if code.lstrip().startswith(MAGIC):
            continue
        pending = f"{pending}\n{code}" if pending else code
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(pending)
        except (SyntaxError, ValueError):
            continue
        pending = ""
        yield tree
    if pending:
        yield None


def documented(target, api, calls):
    """The name under which the documented API is among the calls, or None; for a class, a method will do."""
    for call in calls:
        if call.target is None:
            if call.name == api:
                return call.name
        elif call.target.key == target.key:
            return call.name
        elif isinstance(target.binding, Class) and call.target.module == target.module:
            if call.target.path.rpartition(".")[0] == target.path:
                return call.name.rpartition(".")[0]
    return None


def collapsed(names):
    """The names, with every run that repeats itself at once written once: `a b a b c` is `a b c`."""
    size = 1
    while size <= len(names) // 2:
        for start in range(len(names) - 2 * size + 1):
            if names[start : start + size] == names[start + size : start + 2 * size]:
                names = names[: start + size] + names[start + 2 * size :]
                size = 0
                break
        size += 1
    return names
