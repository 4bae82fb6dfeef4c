"""Figures as files for a paper, and as SVG inside the page that follows its colours."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from evidence.report.figures.plate import Panel
from evidence.report.palette import COLOURS

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_NOT_DRAWN = (f"{_SVG}style", f"{_SVG}metadata")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_FONT = re.compile(r"font: (?:(\w+) )?([\d.]+)px [^;]*")


def write_panel(panel: Panel, folder: Path) -> None:
    """Write a panel as NAME.svg and NAME.pdf, the same bytes each time."""
    (folder / f"{panel.name}.svg").write_text(panel.svg)
    panel.write_pdf(folder / f"{panel.name}.pdf")


def inline(panel: Panel, prefix: str) -> str:
    """A panel as SVG elements for the page; ElementTree has escaped what they say.

    Args:
        prefix: begins every id within, so that no two figures of a page share one.
    """
    label = f"{prefix}{panel.name}"
    if panel.narrow_svg is None:
        return _inline(panel.svg, panel.alt, label, "panel")
    wide = _inline(panel.svg, panel.alt, f"{label}-wide", "panel wide-only")
    return wide + _inline(panel.narrow_svg, panel.alt, f"{label}-narrow", "panel narrow-only")


def _inline(svg: str, alt: str, label: str, css_class: str) -> str:
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in _NOT_DRAWN or not child.tag.startswith(_SVG):
                parent.remove(child)
    used = {
        name
        for element in root.iter()
        for value in element.attrib.values()
        for name in [*_REFERENCE.findall(value), *([value[1:]] if value[:1] == "#" else [])]
    }
    names = {name: f"{label}-{number}" for number, name in enumerate(sorted(used))}
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.attrib = {
            key: text
            for name, value in element.attrib.items()
            if name != "id" or value in used
            for key, text in [_attribute(name, value, names)]
        }
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib.update({"class": css_class, "role": "img", "aria-labelledby": f"{label}-alt"})
    described = ET.Element("title", {"id": f"{label}-alt"})
    described.text = alt
    root.insert(0, described)
    return ET.tostring(root, encoding="unicode")


def _attribute(name: str, value: str, names: dict[str, str]) -> tuple[str, str]:
    """An attribute as the page needs it: ids of its own, the page's colours and letters."""
    if name == "id":
        return name, names[value]
    if name == f"{_XLINK}href":
        return "href", f"#{names[value[1:]]}"
    value = _REFERENCE.sub(lambda found: f"url(#{names[found[1]]})", value)
    value = _NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)
    for colour in COLOURS:
        value = value.replace(colour.light, f"var(--fig-{colour.name})")
    return name, _FONT.sub(_page_font, value)


def _page_font(found: re.Match[str]) -> str:
    """Size and weight alone: the family is the page's."""
    weight = f"; font-weight: {found[1]}" if found[1] else ""
    return f"font-size: {found[2]}px{weight}"
