"""Input that cannot hurt: damaged, lying, endless and hostile captures."""
