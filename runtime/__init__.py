"""The outside world: sockets, processes, the clock; performs what actors decide."""
