"""Streams under load: frames that arrive by a plan, are served in batches, and are late or not."""
