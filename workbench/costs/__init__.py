"""What a recipe costs: forecast before it runs, measured while it runs."""
