import inspect

import pytest


@pytest.fixture
def unchecked():
    """A function without jaxtyping's check around it, which under test would answer before our own message does."""
    return inspect.unwrap
