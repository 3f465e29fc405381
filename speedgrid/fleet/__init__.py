"""The machines of a fleet beside each other: what to deploy where, what they cost, and which cannot be told apart."""
