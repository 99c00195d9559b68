"""The parts of a docstring: the summary, and the blocks of code that prose divides."""

import re

FENCE = re.compile(r"^\s*(```+|~~~+)\s*\{?(\w*)")
SIGNATURE = re.compile(r"^[\w.]+\s*\(.*\)\s*(->.*|--)?$")
FENCED = {"python", "py", "python3", "pycon"}


def summary(text):
    """The first paragraph that is not a signature."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        joined = " ".join(lines)
        if joined and not SIGNATURE.match(joined):
            return joined
    return ""


def blocks(text):
    """The blocks of a docstring, each a list of pieces of code."""
    found, lines, place, divided = [], text.splitlines(), 0, True

    def add(code):
        nonlocal divided
        if divided:
            found.append([])
            divided = False
        found[-1].append(code)

    while place < len(lines):
        line, fence = lines[place].strip(), FENCE.match(lines[place])
        if line.startswith(">>>"):
            code, place = statement(lines, place)
            if code.strip():
                add(code)
            place = after_output(lines, place)
        elif fence:
            inside, place = fenced(lines, place, fence[1])
            if any(item.strip().startswith(">>>") for item in inside):
                for code in [code for block in blocks("\n".join(inside)) for code in block]:
                    add(code)
            elif fence[2].lower() in FENCED:
                add("\n".join(unindented(inside)))
        else:
            divided = divided or bool(line)
            place += 1
    return found


def statement(lines, place):
    """The code of one prompt with its continuation lines, and where it ends."""
    margin = lines[place].index(">>>")
    code = [lines[place][margin + 4 :]]
    place += 1
    while (
        place < len(lines) and lines[place][margin:].startswith("...") and not lines[place][:margin].strip()
    ):
        code.append(lines[place][margin + 4 :])
        place += 1
    return "\n".join(code), place


def after_output(lines, place):
    """Where the output of a statement ends: at an empty line, a prompt or a fence."""
    while place < len(lines):
        line = lines[place].strip()
        if not line or line.startswith(">>>") or FENCE.match(line):
            break
        place += 1
    return place


def fenced(lines, place, mark):
    """The lines between two fences, and where they end."""
    inside = []
    place += 1
    while place < len(lines) and not lines[place].strip().startswith(mark):
        inside.append(lines[place])
        place += 1
    return inside, place + 1


def unindented(lines):
    """Lines without the indentation that all of them have."""
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[margin:] for line in lines]
