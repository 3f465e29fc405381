"""What a process that holds the device does: it measures, and writes down what it has seen."""
