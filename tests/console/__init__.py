"""Tests of console/ and cli.py: commands as people type them."""
