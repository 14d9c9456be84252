"""What runs a graph: torch while training and proving, ONNX when deployed."""
