"""``config show``: the settings that hold here, and where each comes from."""

import click
import msgspec

from ..home import settings
from ..home.layout import find_home
from . import pages
from .options import json_option


@click.group()
def config() -> None:
    """The settings of this home."""


@config.command("show")
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@json_option
def config_show(origin: bool, as_json: bool) -> None:
    """Show every setting and its value.

    Its default stands in the packaged conf.toml; conf.toml of the home may change it, and a
    variable STENELLA_<SECTION>__<KEY> wins. With --json values are {"value", "origin"}.

    Example: stenella config show --origin
    """
    loaded = settings.load(find_home())
    found = {
        key: msgspec.to_builtins(getattr(getattr(loaded, section), name))
        for key in settings.TYPES
        for section, name in [key.split(".")]
    }
    if as_json:
        pages.emit(
            {key: {"value": value, "origin": loaded.origins[key]} for key, value in found.items()}
        )
        return
    rows = [
        (key, msgspec.json.encode(value).decode(), loaded.origins[key])
        for key, value in found.items()
    ]
    if origin:
        pages.emit_lines(pages.columns(("SETTING", "VALUE", "FROM"), rows))
    else:
        pages.emit_lines(pages.columns(("SETTING", "VALUE"), [row[:2] for row in rows]))
