"""SVG: what Graphviz drew, finished: names in bold, and the page wide enough for its headings in any font."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from smrdsl.draw.text import width

SVG = "http://www.w3.org/2000/svg"
LINK = "http://www.w3.org/1999/xlink"
MARGIN = 21.6
"""Points that are left free at the right, as elsewhere (`pad` of the graph)."""


def finish(picture: bytes) -> bytes:
    """The picture with the first line of each box in bold, free of what the program wrote about itself."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", LINK)
    root = ElementTree.fromstring(picture)
    for group in root.iter(f"{{{SVG}}}g"):
        first = next(group.iter(f"{{{SVG}}}text"), None)
        if group.get("class") == "node" and first is not None:
            first.set("font-weight", "bold")
    _widen(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _widen(root: Element) -> None:
    """Let the page hold every line that begins at the left: how long it gets depends on the viewer's font."""
    left, top, wide, high = map(float, root.attrib["viewBox"].split())
    needed = max(map(_right_end, root.iter(f"{{{SVG}}}text")), default=0.0) + 2 * MARGIN
    page = next(root.iter(f"{{{SVG}}}polygon"), None)
    if needed <= wide or page is None:
        return
    corners = [point.split(",") for point in page.attrib["points"].split()]
    right = max(float(x) for x, _ in corners)
    moved = [(right + needed - wide if float(x) == right else float(x), float(y)) for x, y in corners]
    page.set("points", " ".join(f"{x:g},{y:g}" for x, y in moved))
    root.set("viewBox", f"{left:g} {top:g} {needed:g} {high:g}")
    root.set("width", f"{needed:g}pt")


def _right_end(line: Element) -> float:
    """About where a line ends that begins at the left; boxes are wide enough for theirs."""
    if line.get("text-anchor") != "start":
        return 0.0
    return float(line.attrib["x"]) + width(line.text or "", float(line.attrib["font-size"]))
