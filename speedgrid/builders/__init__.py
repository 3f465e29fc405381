"""What is compiled or exported ahead of time, one module for each compiler."""
