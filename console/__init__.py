"""What people see in a terminal: the bodies of the commands, the live view, tables."""
