"""The search: what is tried next, by whom, and how it ended. Only user of Optuna."""
