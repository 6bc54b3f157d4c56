"""A home: where a cluster's files are, its settings, keys, locks and endpoints."""
