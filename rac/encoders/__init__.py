"""Encoders: images and texts to one joint space, and the trunk features on the way there."""

from __future__ import annotations

from rac.encoders.base import Encoder, ImageFeatures
from rac.encoders.load import load_encoder

__all__ = ["Encoder", "ImageFeatures", "load_encoder"]
