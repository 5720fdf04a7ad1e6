"""Facial expression recognition with small, honest networks, as a PyTorch Lightning package."""

__version__ = "0.1.0"
