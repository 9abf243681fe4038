"""How a pack comes to be: from an ONNX file, from a state dict, or from InsightFace's archives."""
