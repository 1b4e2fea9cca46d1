"""What all routes stand on: who asks, the path of a statement, replies, metrics, OpenAPI."""
