"""What report and UI both compute from run records. Loads no torch."""
