"""What an ONNX graph computes exactly and with rounding, for models that have no module of PyTorch."""
