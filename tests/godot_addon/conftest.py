from tests.e2e.conftest import make_home, toy
from tests.mcp.conftest import connect

__all__ = ["connect", "make_home", "toy"]
