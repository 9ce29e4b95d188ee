"""The rooms that a request walks through. They know the domain and nothing else."""
