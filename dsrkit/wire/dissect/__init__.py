"""Frames taken apart, header by header, field by field, with the octets that each field stands in: for people's eyes,
one frame at a time. What is judged are the columns of the scan; both must agree."""
