"""What a card does with all of the workbench: ``make gpu``, one report in at most 8 minutes."""
