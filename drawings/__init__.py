"""Drawings of the documentation, each described once and written for light and for dark pages."""
