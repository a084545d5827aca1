"""Bytes on disk: tables, text, archives. Nothing here knows an estimator."""
