"""Capture files octet by octet: where they come from, how they are packed, their headers, and what is damaged."""
