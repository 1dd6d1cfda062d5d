"""Text: how wide a line will be, and lines that are not too long.

Layout must not depend on the fonts of a machine, so boxes are sized by the widths of DejaVu Sans, as wide as
any that a viewer may use instead.
"""

from __future__ import annotations

WIDTHS = {  # in units of the size, of the characters that differ much from LETTER
    **dict.fromkeys("ijlI.,:;'|!", 0.34),
    **dict.fromkeys('()[]{}frt"/-` ', 0.42),
    **dict.fromkeys("mwMW%@", 0.96),
    **dict.fromkeys("=+<>~^#", 0.84),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", 0.73),
}
LETTER = 0.635
WIDE = 1.05
"""Characters beyond Latin, among them those of East Asia."""


def width(line: str, size: float) -> float:
    """About how wide a line is, in points; rather too wide than too narrow."""
    return size * sum(WIDTHS.get(c, LETTER if ord(c) < 0x250 else WIDE) for c in line)


def wrap(parts: list[str], longest: int) -> list[str]:
    """Parts joined by commas, as many to a line as fit. One that is too long has a line of its own, cut."""
    lines: list[str] = []
    for i, part in enumerate(parts):
        text = cut(part, longest) + ("," if i + 1 < len(parts) else "")
        if lines and len(lines[-1]) + 1 + len(text) <= longest:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return lines


def cut(text: str, longest: int) -> str:
    """The text, or its beginning and `...`."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def count(n: int, noun: str) -> str:
    """`1 step`, `2 steps`, `1,000 steps`."""
    return f"{n:,} {noun}{'s' * (n != 1)}"
