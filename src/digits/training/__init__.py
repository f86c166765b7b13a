"""How a model is fitted, saved, exported as ONNX, and asked."""
