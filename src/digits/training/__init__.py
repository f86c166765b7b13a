"""How a Keras model is fitted, calibrated, saved, and exported as ONNX."""
