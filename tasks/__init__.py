"""Task types: how a request becomes a process, and its traces a result."""
