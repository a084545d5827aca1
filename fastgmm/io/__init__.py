"""Bytes on disk: tables, text, archives. Nothing here depends on an estimator."""
