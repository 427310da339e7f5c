"""What becomes of a scenario: capture files, text for other tools, a ladder, frames on a wire."""
