"""One configuration and one seed, from the base to an outcome."""
