"""The model of one attribute: evidence fused, under a promise, and what is answered for a cell."""
