r"""The final answer in a text: what stands after the answer's marker, else in the last ``\boxed{}``."""

import re

MARKERS = ("Final Answer:", "####")
"""What stands before a final answer: in the prompts of maths [P], in GSM8K's own solutions."""
MOST_CHARACTERS = 500
"""A longer answer is none."""
LEAD = re.compile(r"^(?:the )?(?:final )?(?:answer )?(?:is\b)?\s*:?\s*", re.IGNORECASE)
TAIL = re.compile(r"\.?\s*I hope it is correct\b.*\Z", re.IGNORECASE | re.DOTALL)
MATHS = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed\b")
"""Where LaTeX begins or ends."""
NUMBER = re.compile(
    r"(?P<sign>-?)\s*(?:\\?[$£€])?\s*(?P<digits>\d{1,3}(?:,\d{3})+|\d*)(?P<part>\.\d+|\.)?\s*(?P<percent>\\?%)?"
)
UNIT = re.compile(r"\s*(?!(?:pi|or|and|sqrt|log|ln|sin|cos|tan|mod|over)\b)[A-Za-z]{2,}[A-Za-z .]*")
"""Words after a number, as in ``72 clips``; a single letter may be a variable."""


def boxed(text: str) -> str | None:
    r"""What the last ``\boxed{}`` holds, to the brace that closes it; ``None`` without a whole one."""
    start = text.rfind("\\boxed")
    while start >= 0:
        rest = text[start + len("\\boxed") :]
        if rest.startswith(" ") and (word := re.match(r" (\S+?)(?=[\s$]|\Z)", rest)):
            return word[1]
        inside = _braced(rest.lstrip())
        if inside is not None:
            return inside
        start = text.rfind("\\boxed", 0, start)
    return None


def _braced(text: str) -> str | None:
    """What stands between the brace that ``text`` begins with and the one that closes it."""
    if not text.startswith("{"):
        return None
    depth = 0
    for match in re.finditer(r"\\[{}\\]|[{}]", text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[1 : match.start()]
    return None


def answer_span(text: str, markers: tuple[str, ...] = MARKERS) -> str | None:
    r"""The final answer of ``text`` as it was written; ``None`` where it has none.

    Of several markers the last counts; ``\boxed{}`` is looked for only where nothing stands behind a marker.
    """
    ends = [(text.rfind(marker), len(marker)) for marker in markers]
    start, length = max(ends, default=(-1, 0))
    if start >= 0 and (span := _after_marker(text[start + length :])):
        return span
    inside = boxed(text)
    return inside.strip() if inside and inside.strip() and len(inside) <= MOST_CHARACTERS else None


def _after_marker(rest: str) -> str | None:
    """The answer at the beginning of what follows a marker."""
    text = LEAD.sub("", rest.strip().strip("*_ \t"), count=1)
    text = TAIL.sub("", text).partition("\n\n")[0].strip()
    if not MATHS.search(text):
        text = text.partition("\n")[0]
    text = text.strip().strip("*").strip()
    return text.removesuffix(".").strip() if text and len(text) <= MOST_CHARACTERS else None


def as_latex(span: str) -> str:
    """``span`` in the form that math-verify reads: LaTeX between dollars.

    A plain number loses currency, separators of thousands, a percent sign and the words after it. LaTeX
    that has its delimiters stays as it is.
    """
    text = span.strip()
    if text.startswith("$") and text.endswith("$") and text.count("$") == 2 and len(text) > 2:
        text = text[1:-1].strip()
    number = NUMBER.match(text)
    if (
        number
        and (number["digits"] or number["part"])
        and (number.end() == len(text) or UNIT.fullmatch(text[number.end() :]))
    ):
        digits = number["digits"].replace(",", "") or "0"
        part = number["part"] if number["part"] and number["part"] != "." else ""
        return f"${number['sign']}{digits}{part}$"
    if (inside := boxed(text)) is not None:
        text = inside
    return text if MATHS.search(text) else f"${text}$"
