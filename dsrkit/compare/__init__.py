"""The same packets of two captures, field by field: which differ, in what, and whether the mode allows it."""
