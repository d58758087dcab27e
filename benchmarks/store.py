"""How the benchmarks keep what they measured, and on what: as the headline runs do."""

from gan_course.headlines import circumstances, store

__all__ = ["circumstances", "store"]
