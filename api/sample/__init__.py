"""A sample city: who lives there, how it is founded, what its departments export."""
