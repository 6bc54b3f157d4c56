"""What a workflow means: definition, graph, parameters. Pure."""
