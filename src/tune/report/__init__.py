"""What a study says at its end: tables and verdicts, from what was recorded."""
