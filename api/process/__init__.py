"""Our programs as processes: the service, the node, their signals and their logs."""
