"""Training with Lightning: data module, module, losses, samplers, configs."""
