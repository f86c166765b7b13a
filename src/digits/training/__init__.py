"""How a model is fitted, saved and used.

- `recipe`: the blocks of `train.<model>` in params.yaml
- `batches`: the order of the rows, and augmentation
- `fit`: building, fitting and timing one model
- `views`: test-time augmentation
- `saved_model`: the `.keras` file, equal bytes for equal models
- `export`: calibrate a network, and write it as ONNX
- `inference`: ask the ONNX file, without TensorFlow
- `progress`: the bar on a terminal
"""
