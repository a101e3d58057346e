"""What a model answers: predictions for a whole split, generated text."""
