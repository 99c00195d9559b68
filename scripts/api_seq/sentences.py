"""Sentences of documentation, made into inputs: markup taken off, and those dropped that say too little."""

import re

WORDS = range(3, 41)
# What ends in a full stop without ending a sentence.
SHORT = (
    r"(?:e\.g|i\.e|vs|etc|cf|al|Fig|Eq|Ref|approx|resp|incl|No|Dr|St|a\.k\.a|w\.r\.t|viz|ca|Sec|\b[A-Z])\."
)
END = re.compile(r"(?<=[.!?])(?:[\"')\]]*)\s+(?=[A-Z0-9\"'(\[`*:])")
MARKUP = [
    (re.compile(r":[a-zA-Z:+-]+:`~(?:[^`<>]*\.)?([^`<>.]+)`"), r"\1"),  # :func:`~a.b.c`
    (re.compile(r":[a-zA-Z:+-]+:`!?([^`<>]+?)\s*<[^`>]*>`"), r"\1"),  # :ref:`text <target>`
    (re.compile(r":[a-zA-Z:+-]+:`!?([^`]*)`"), r"\1"),
    (re.compile(r"`([^`<>]+?)\s*<[^`>]*>`_{0,2}"), r"\1"),
    (re.compile(r"!?\[([^\][]+)\]\([^)]*\)"), r"\1"),  # [text](address)
    (re.compile(r"\[`([\w.~]+)`\](?!_)"), r"\1"),  # [`name`]
    (re.compile(r"\s*(?:\[[#*\w]+\]_|\[\d+\](?=\s|[.,:;]|$))"), ""),  # [1]_
    (re.compile(r"</?[a-z]+>"), ""),
    (re.compile(r"\|([A-Za-z][\w. ]*)\|_?"), r"\1"),  # |substitution|
    (re.compile(r"`+([^`]*)`+_{0,2}"), r"\1"),
    (re.compile(r"(?<!\*)\*\*([^*]+)\*\*(?!\*)"), r"\1"),
    (re.compile(r"(?<![\w*])\*([^*\s][^*]*?)\*(?![\w*])"), r"\1"),
    (re.compile(r"`"), ""),
]
TRAILING = re.compile(r"[\s,;(\[]*\b(?:[Ss]ee|cf\.)\s+(?:also\b|the\b|above|below|[A-Z:]).*$|[\s.:;,]+$")
PLACEHOLDER = re.compile(r"%\(|%[sdrif]\b|\{[^{}]*\}|\$\{|<<|\|version\||\\|@|#|https?:|www\.")
OLD = re.compile(
    r"deprecat|obsolete|backward.?compat|will be removed|renamed|no longer|legacy", re.IGNORECASE
)
POINTER = re.compile(
    r"^(?:alias|see\b|same as|equivalent to|wrapper|wraps|synonym|shorthand|shortcut|inherited|todo|note\b|"
    r"overrides?|overridden|internal|private|helper|base class|abstract|mixin|placeholder|docstring|this is an? "
    r"(?:internal|private|helper)|like\b|refer to|for (?:details|more)|args\b|parameters\b|returns?:|examples?\b|"
    r"usage\b|[\w.]+\(|similar to|(?:please|also)\b|implements? [\w.]+$|[\d.]+ )",
    re.IGNORECASE,
)
UNFINISHED = re.compile(r"(?:\b(?:by|as|follows|following|to|of|with|the|a|an|is|are|and|or|where)|[=>-])$")


def first_sentence(paragraph):
    """The text up to the first full stop that ends a sentence."""
    for match in END.finditer(paragraph):
        head = paragraph[: match.start()]
        if not re.search(r"(?<![\w.])" + SHORT + r"$", head) and head.count("(") <= head.count(")"):
            return head
    return paragraph


def cleaned(text):
    """The text without markup."""
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    text = re.sub(r"\s+", " ", text).strip()
    for _ in range(3):
        text = TRAILING.sub("", text).strip()
    return text


def input_of(paragraph):
    """The input that a paragraph gives, and the reason to drop it, or None."""
    text = cleaned(first_sentence(paragraph))
    return text, reason(text)


def reason(text):
    """Why a text cannot be an input, or None."""
    if text.startswith(">>>") or text.startswith("Examples ---"):
        return "no summary"
    words = text.split()
    plain = [word for word in words if re.search(r"[A-Za-z]{2}", word)]
    if len(words) < WORDS.start or len(plain) < WORDS.start:
        return f"input under {WORDS.start} words"
    if len(words) >= WORDS.stop:
        return f"input over {WORDS.stop - 1} words"
    if sum(not character.isascii() for character in text) * 20 > len(text):
        return "input not in ASCII"
    if OLD.search(text):
        return "input on what is deprecated"
    if PLACEHOLDER.search(text) or "::" in text or "$" in text:
        return "input with a placeholder or markup"
    if POINTER.search(text):
        return "input that points elsewhere"
    opened, closed = (sum(text.count(mark) for mark in marks) for marks in ("([", ")]"))
    if opened != closed or text.count('"') % 2 or len(plain) * 2 < len(words) or UNFINISHED.search(text):
        return "input that is not a sentence"
    return None
