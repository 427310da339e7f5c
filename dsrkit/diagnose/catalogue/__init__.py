"""The catalogue: one file per area, data only."""
