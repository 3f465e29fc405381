"""What people call models, devices and precisions, and the names by which this project knows them."""
