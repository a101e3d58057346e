"""How much of what the base could do is left after fine-tuning, on a fixed general text."""
