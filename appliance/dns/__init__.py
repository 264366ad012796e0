"""form-dns: names of agents."""
