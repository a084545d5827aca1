"""Data that can be gone through again and again."""
