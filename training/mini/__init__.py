"""The recipe of ``mini``, the embedded encoder: ``python -m training.mini --help``."""
