"""The models: where they come from, their weights, and what an image costs."""
