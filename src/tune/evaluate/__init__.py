"""What is measured on the base and on the adapted model, and how the two are compared."""
