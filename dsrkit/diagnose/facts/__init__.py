"""What packets show besides the verdicts and tells look-alikes apart, a module per kind of fact; `evidence` has them
all."""
