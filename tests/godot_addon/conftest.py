from tests.e2e.conftest import make_home, toy

__all__ = ["make_home", "toy"]
