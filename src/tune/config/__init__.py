"""From a command line to checked, plain dataclasses; nothing here imports torch."""
