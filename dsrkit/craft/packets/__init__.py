"""Builders of single frames and messages, from their fields to octets."""
