"""Evidence that stands without the service: gathered, read strictly, verified step by step."""
