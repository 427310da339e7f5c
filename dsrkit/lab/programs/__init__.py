"""What the machines of a lab run: small programs of the standard library only."""
