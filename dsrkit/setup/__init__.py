"""The commands that make the machines of a spec what the spec says they are."""
