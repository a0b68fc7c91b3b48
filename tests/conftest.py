"""What holds for every test: this folder's helper modules can be imported, PyTorch uses one thread, and tests marked
slow run only when asked for with --slow.

One thread because the workers of pytest-xdist are the parallelism, and because sums over several threads may differ in
their last bits.
"""

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow (minutes)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow; run it with --slow"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
