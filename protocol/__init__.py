"""What is said: ids, states and their tables, commands, rows, codec, errors."""
