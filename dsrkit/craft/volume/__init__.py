"""Many connections from few: what tells copies apart, patched into frames that were simulated once."""
