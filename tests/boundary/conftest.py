import os

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

# Always the same examples, so that continuous integration does not flicker; GAN_COURSE_FUZZ=2000 tries so many others.
number = os.environ.get("GAN_COURSE_FUZZ")
settings.register_profile(
    "boundary",
    max_examples=int(number or 60),
    derandomize=number is None,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("boundary")


@pytest.fixture(scope="module", autouse=True)
def _as_users_have_it():
    """The checks of shapes and types that the other tests run with are off: a user has none."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
