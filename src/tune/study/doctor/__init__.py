"""What is inconsistent between storage, MLflow and disk, and how it is mended."""
