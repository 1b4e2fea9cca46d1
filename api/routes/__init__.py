"""HTTP routes, a module per subject; each hands what it got to the service and shows the answer."""
