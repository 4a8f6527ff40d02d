"""The frozen base and what is attached to it: fetch, load, quantize, adapt. The only user of PEFT and bitsandbytes."""
