"""A definition as a cluster or a home has stored it."""

from typing import Any

from ..workflow.definition import Definition, decode


def definition_of(document: dict[str, Any]) -> Definition:
    """Of the document that `Reads.definition` returns."""
    return decode(document["definition"].encode())
