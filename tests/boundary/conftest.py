import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

# Always the same examples, so that continuous integration does not flicker; `pytest --hypothesis-profile=search` tries
# many others.
settings.register_profile(
    "boundary", max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile("search", settings.get_profile("boundary"), max_examples=2_000, derandomize=False)


@pytest.fixture(scope="module", autouse=True)
def _as_users_have_it():
    """The checks of shapes and types that the other tests run with are off: a user has none."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
