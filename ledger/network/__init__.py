"""Connections and their addresses, for all that listens: the service and the node."""
