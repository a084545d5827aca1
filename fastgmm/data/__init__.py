"""Data that can be read repeatedly."""
