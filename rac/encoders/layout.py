"""How a folder holds an encoder: open_clip's hub layout, with the weights beside the config."""

from __future__ import annotations

CONFIG_FILE = "open_clip_config.json"
"""What makes a folder an encoder."""

LOCAL = "local-dir:"
"""What stands before a folder in open_clip's names."""

PHOTO_CROP = "photo_crop_pct"
"""Our own key among its ``preprocess_cfg``; open_clip passes it over."""
