"""For people's programs: Client, and loaders of definition files."""
