"""``python -m stenella``: the same as the program ``stenella``."""

from .cli import main

main()
