"""What the machine is: devices, GPUs and their locks, threads, versions."""
