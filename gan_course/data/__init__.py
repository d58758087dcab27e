"""Data: images by name, toy distributions, and sources of batches."""

from gan_course.data.sources import Loader, Paired, Unpaired

__all__ = ["Loader", "Paired", "Unpaired"]
