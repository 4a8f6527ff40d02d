"""From rows on disk, or made here, to questions with their right answers; nothing here imports torch."""
