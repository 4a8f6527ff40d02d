"""A blind sheet: two replies to each question, side by side, and nothing that says who replied."""
