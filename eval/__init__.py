"""Metrics, statistics and reports: arrays in, numbers and pages out."""
