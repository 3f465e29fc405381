"""What the records mean: one row for each cell, with a verdict."""
