"""The record of studies and trials: what ran, with what, and what came out."""
