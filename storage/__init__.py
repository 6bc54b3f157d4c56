"""What is remembered: models, journal, queries, migrations."""
