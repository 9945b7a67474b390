"""Training of the image tower itself: from images, all weights or low-rank additions to them."""
