"""The JSON Schema of definition files, as text for editors and programs."""

import msgspec

from ..workflow.schema import schema
from .loading import installed_types


def schema_text() -> str:
    """The schema with the task types that are installed here, as people can read it."""
    return msgspec.json.format(msgspec.json.encode(schema(installed_types())), indent=2).decode()
