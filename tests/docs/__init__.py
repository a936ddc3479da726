import pytest

# So that a block that is wrong is shown with what it was compared with.
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ("data", "markup", "programs", "python", "texts")))
