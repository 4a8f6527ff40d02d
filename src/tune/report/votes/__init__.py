"""Raters' votes: read back, un-blinded and counted."""
