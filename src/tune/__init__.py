"""LoRA and QLoRA sweeps that say which configuration to take, and whether it hurt the model."""
