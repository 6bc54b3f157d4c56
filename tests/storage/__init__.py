"""Tests of storage/: real SQLite, in memory and on disk."""
