"""What the commands do once their flags are read (`tfgates.tools`): here TensorFlow is imported."""
