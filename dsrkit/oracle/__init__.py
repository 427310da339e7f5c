"""Second opinions: the same frames decoded by programs that share no code with dsrkit, and where they disagree."""
