"""The actors of a worker, and the rules of its warden."""
