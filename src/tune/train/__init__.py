"""Training an adapter. Only user of TRL."""
