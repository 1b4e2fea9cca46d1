"""What only shows or measures: the demo, the benches and their large city."""
