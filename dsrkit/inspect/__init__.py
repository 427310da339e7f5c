"""Looking at captures frame by frame: roles in load-balancing terms, filters, flows, differences."""
