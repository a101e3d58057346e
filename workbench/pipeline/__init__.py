"""What happens when a recipe runs: set-up, training, test, export, record."""
