"""Reads a report's page strictly: as XML, which it is written to be, too."""

from __future__ import annotations

import xml.etree.ElementTree as ET


def read_html(text: str) -> ET.Element:
    """The page; an unclosed element, a bare ``&`` or ``<`` is an error."""
    doctype, _, page = text.partition("\n")
    assert doctype == "<!DOCTYPE html>"
    return ET.fromstring(page)


def said(element: ET.Element) -> str:
    """All text within."""
    return " ".join("".join(element.itertext()).split())


def table(page: ET.Element, caption: str) -> list[list[str]]:
    """The cells of the table with that caption, its headings first."""
    for found in page.iter("table"):
        if said(next(found.iter("caption"))).startswith(caption):
            return [[said(cell) for cell in row] for row in found.iter("tr")]
    raise AssertionError(f"no table is called {caption!r}")
