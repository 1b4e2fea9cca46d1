"""What is stored, held against itself: the engine's check, the tree, MACs, how far it goes."""
