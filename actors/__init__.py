"""Who decides: actors, and the turn that runs them. Pure."""
