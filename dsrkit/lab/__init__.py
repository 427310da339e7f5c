"""A mode built for real: machines as network namespaces, configured by what `dsrkit setup` prints, and captured."""
