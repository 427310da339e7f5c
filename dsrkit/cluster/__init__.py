"""Verification in slices of time, wherever these are judged: here, in processes, or on a cluster."""
